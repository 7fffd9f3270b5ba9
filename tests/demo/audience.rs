//! Who listens to the story: its lines on standard output, and on standard error what is awaited while nothing happens. Either may be
//! closed at any moment.

use std::io::{IsTerminal, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use penstock_tests::story::{Narrator, WAITING};
use tokio::sync::Notify;
use tokio::time::Instant;

/// Takes the story's lines, and shows what is awaited; cheap to clone.
#[derive(Clone)]
pub(crate) struct Audience {
    seats: Arc<Mutex<Seats>>,
    left: Arc<Notify>,
}

struct Seats {
    out: Box<dyn Write + Send>,
    awaited: Option<(String, Instant)>,
    /// Why nobody listens any more.
    left_for: Option<std::io::Error>,
}

impl Audience {
    /// Returns an audience that reads `out`.
    pub(crate) fn of(out: impl Write + Send + 'static) -> Self {
        let seats = Seats {
            out: Box::new(out),
            awaited: None,
            left_for: None,
        };
        Self {
            seats: Arc::new(Mutex::new(seats)),
            left: Arc::default(),
        }
    }

    pub(crate) fn narrator(&self) -> Narrator {
        let audience = self.clone();
        Arc::new(move |turn, line| {
            if turn == WAITING {
                audience.seats().awaited = Some((line.to_owned(), Instant::now()));
            } else {
                audience.tell(&format!("{turn:>10}  {line}"));
            }
        })
    }

    /// Tells a line, unless nobody listens any more.
    pub(crate) fn tell(&self, line: &str) {
        let mut seats = self.seats();
        clear_line();
        let told = writeln!(seats.out, "{line}").and_then(|()| seats.out.flush());
        if let Err(why) = told {
            seats.left_for = Some(why);
            self.left.notify_one();
        }
    }

    /// Waits until nobody listens any more, and returns why.
    pub(crate) async fn gone(&self) -> std::io::Error {
        loop {
            if let Some(why) = self.seats().left_for.take() {
                return why;
            }
            self.left.notified().await;
        }
    }

    /// Shows every second what is awaited; once in fifteen where the output is no terminal.
    pub(crate) fn tick(&self) -> tokio::task::JoinHandle<()> {
        let audience = self.clone();
        tokio::spawn(async move {
            let pause = Duration::from_secs(if std::io::stderr().is_terminal() { 1 } else { 15 });
            loop {
                tokio::time::sleep(pause).await;
                if let Some((what, since)) = &audience.seats().awaited {
                    show(what, since.elapsed());
                }
            }
        })
    }

    pub(crate) fn hush(&self) {
        self.seats().awaited = None;
        clear_line();
    }

    fn seats(&self) -> MutexGuard<'_, Seats> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells what is no part of the story.
pub(crate) fn tell_aside(line: &str) {
    murmur(&format!("{line}\n"));
}

fn show(what: &str, waited: Duration) {
    let line = format!("         …  waiting for {what} ({} s)", waited.as_secs());
    if std::io::stderr().is_terminal() {
        murmur(&format!("\r\x1b[K{line}"));
    } else {
        tell_aside(&line);
    }
}

fn clear_line() {
    if std::io::stderr().is_terminal() {
        murmur("\r\x1b[K");
    }
}

/// Without a standard error there is nobody to murmur to.
fn murmur(text: &str) {
    let mut out = std::io::stderr();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::*;

    #[tokio::test]
    async fn who_closes_the_pipe_ends_the_story_without_a_panic() {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        let audience = Audience::of(writer);
        let narrator = audience.narrator();
        narrator("stage", "somebody listens");
        drop(reader);
        narrator("stage", "nobody listens");
        narrator("stage", "nobody listens");
        assert_eq!(audience.gone().await.kind(), ErrorKind::BrokenPipe);
    }
}
