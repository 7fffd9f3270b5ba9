//! A queue and a sink for tests: they remember what was asked and fail when told to. Time is tokio's, and so stands
//! still with the test.

mod queue;
mod sink;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::health::Health;
use crate::pump::{Ending, Pump, Settings, Voice};
use crate::source::{Header, Message, Receipt};
use crate::telemetry::{Counts, Telemetry};

pub(crate) use queue::FakeQueue;
pub(crate) use sink::{FakeSink, too_large};

/// Returns message number `n`.
pub(crate) fn message(n: u32) -> Message {
    let id = format!("message-{n}");
    Message {
        headers: vec![Header::text("sqs.message.id", id.clone())],
        receipt: Receipt(format!("{id}/1")),
        body: format!("body-{n}"),
        id,
        group: None,
        sequence: None,
        sent_at: None,
        receive_count: 1,
    }
}

/// Returns message number `n` of a group.
pub(crate) fn grouped(n: u32, group: &str) -> Message {
    Message {
        group: Some(group.to_owned()),
        sequence: Some(u128::from(n)),
        ..message(n)
    }
}

/// A pump between the two, running.
pub(crate) struct Rig {
    pub(crate) queue: FakeQueue,
    pub(crate) sink: Arc<FakeSink>,
    pub(crate) voice: Voice,
    shutdown: CancellationToken,
    pump: tokio::task::JoinHandle<Ending>,
}

/// Returns settings that suit most tests.
pub(crate) fn settings() -> Settings {
    Settings {
        per_call: 10,
        receivers: 4,
        wait: Duration::from_secs(20),
        visibility: Duration::from_secs(30),
        max_messages: 100,
        max_bytes: 1 << 20,
        largest_message: 1024,
        ordered: false,
        remember: Duration::ZERO,
        max_retries: 2,
        backoff: Duration::from_secs(1),
        dead_letters: true,
        redrives: true,
        drain: Duration::from_secs(25),
    }
}

impl Rig {
    /// Starts a pump over these messages; `prepare` may tell queue and sink how to fail before it starts.
    pub(crate) fn start(
        settings: Settings,
        messages: impl IntoIterator<Item = Message>,
        prepare: impl FnOnce(&FakeQueue, &FakeSink),
    ) -> Self {
        let queue = FakeQueue::new(messages, &settings);
        let (outcomes, deliveries) = crate::sink::outcomes::outcomes();
        let sink = Arc::new(FakeSink::new(outcomes));
        prepare(&queue, &sink);
        let voice = Voice {
            telemetry: Arc::new(Telemetry::new("test")),
            health: Arc::new(Health::new(Instant::now())),
        };
        let shutdown = CancellationToken::new();
        let pump = Pump::new(settings, queue.clone(), sink.clone(), deliveries, voice.clone());
        let pump = tokio::spawn(pump.run(shutdown.clone()));
        Self {
            queue,
            sink,
            voice,
            shutdown,
            pump,
        }
    }

    /// Waits until `condition` holds, checking at every moment that the counters are honest.
    pub(crate) async fn until(&self, what: &str, condition: impl Fn(&Self) -> bool) {
        let wait = async {
            // Looks every millisecond at first, and seldom once hours pass.
            let mut step = Duration::from_millis(1);
            while !condition(self) {
                self.check_counters();
                tokio::time::sleep(step).await;
                step = (step + step / 100).min(Duration::from_millis(250));
            }
        };
        let limit = Duration::from_secs(24 * 3600);
        if timeout(limit, wait).await.is_err() {
            panic!("never happened: {what}; {:?}; {:?}", self.counts(), self.queue.log());
        }
        self.check_counters();
    }

    /// Lets time pass, checking the counters.
    pub(crate) async fn pass(&self, length: Duration) {
        let end = Instant::now() + length;
        while Instant::now() < end {
            self.check_counters();
            let step = (length / 1000).max(Duration::from_millis(1));
            tokio::time::sleep_until(end.min(Instant::now() + step)).await;
        }
    }

    /// What a scrape sees.
    pub(crate) fn counts(&self) -> Counts {
        self.voice.telemetry.counts()
    }

    /// Stops the pump and returns how it ended and how long it took.
    pub(crate) async fn stop(self) -> (Ending, Duration, FakeQueue, Arc<FakeSink>, Counts) {
        let began = Instant::now();
        self.shutdown.cancel();
        self.finish(began).await
    }

    /// Begins a stop without waiting for its end.
    pub(crate) fn begin_stop(&self) {
        self.shutdown.cancel();
    }

    /// Waits for the end of a stop that began at `began`.
    pub(crate) async fn finish(self, began: Instant) -> (Ending, Duration, FakeQueue, Arc<FakeSink>, Counts) {
        while !self.pump.is_finished() {
            self.check_counters();
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let counts = self.counts();
        let ending = self.pump.await.expect("the pump does not panic");
        (ending, began.elapsed(), self.queue, self.sink, counts)
    }

    fn check_counters(&self) {
        let counts = self.counts();
        let accounted = counts.sent + counts.dead_lettered + counts.deduplicated + counts.released + counts.in_flight;
        assert_eq!(counts.received, accounted, "{counts:?}");
    }
}
