//! `hack/demo`: the story told to a person, on a real broker, localcloud and real bridge processes; then the stage stays up
//! to play with until Ctrl-C.

mod audience;

use std::io::ErrorKind;
use std::ops::RangeInclusive;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use penstock_tests::Error;
use penstock_tests::stage::{CLUSTER, Settings, Stage};
use penstock_tests::story::{Story, WAITING};

use crate::audience::{Audience, tell_aside};

/// Slower, the story would outlast its own patience; faster, what runs in real time could not follow.
const SPEEDS: RangeInclusive<u32> = 10..=120;
/// What shells report of a program that a closed pipe ended.
const CLOSED_PIPE: u8 = 141;

/// Shows Penstock doing its job: spec, service, tasks, messages, scale-out, alarm, SNS, scale-in, asleep, awake, delete.
#[derive(Debug, Parser)]
#[command(name = "hack/demo")]
struct Args {
    /// End after the story: with 0 when every line of it held, else with 1.
    #[arg(long)]
    once: bool,
    /// How many times as fast as real time CloudWatch, Auto Scaling and deployments run: 10 to 120.
    #[arg(long, default_value_t = 30, value_parser = speed)]
    speed: u32,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let audience = Audience::of(std::io::stdout());
    let played = tokio::select! {
        played = play(&args, &audience) => played,
        _ = tokio::signal::ctrl_c() => {
            tell_aside("\nstopping what was started");
            return ExitCode::from(130);
        }
        why = audience.gone() => {
            // Whoever closed the pipe has seen enough.
            if why.kind() == ErrorKind::BrokenPipe {
                return ExitCode::from(CLOSED_PIPE);
            }
            tell_aside(&format!("the story cannot be told, since its output takes nothing: {why}"));
            return ExitCode::FAILURE;
        }
    };
    match played {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            audience.tell(&format!("\nThe story broke: {error:?}"));
            ExitCode::FAILURE
        }
    }
}

fn speed(text: &str) -> Result<u32, String> {
    let speed = text.parse().ok().filter(|speed| SPEEDS.contains(speed));
    let (slowest, fastest) = (SPEEDS.start(), SPEEDS.end());
    speed.ok_or_else(|| {
        format!("write a whole number from {slowest} to {fastest}, such as 30, at which a minute takes two seconds")
    })
}

async fn play(args: &Args, audience: &Audience) -> Result<(), Error> {
    let narrator = audience.narrator();
    let _ticking = audience.tick();
    narrator(WAITING, "Kafka, localcloud and the operator to start");
    let stage = Stage::set(Settings {
        speed: args.speed,
        ..Settings::default()
    })
    .await?;
    let operator = stage.operator().await?;
    narrator(
        "stage",
        &format!(
            "Kafka at {}, AWS (localcloud) at {}",
            stage.broker.bootstrap(),
            stage.aws().url()
        ),
    );
    narrator(
        "stage",
        &format!("operator at http://127.0.0.1:{}/metrics", stage.operator_port),
    );
    narrator(
        "stage",
        &format!(
            "one minute of CloudWatch and Auto Scaling takes {:.1} s",
            60.0 / f64::from(args.speed)
        ),
    );
    Story::new(&stage, narrator.clone()).tell().await?;
    narrator(
        "end",
        "every line above was read back through an AWS API or a topic, and checked",
    );
    if args.once {
        return operator.terminate(Duration::from_secs(30)).await.map(|_| ());
    }
    Story::new(&stage, narrator.clone()).spec().await?;
    narrator("end", "the connector was written once more, for you to play with");
    audience.hush();
    audience.tell(&hints(&stage));
    std::future::pending().await
}

fn hints(stage: &Stage) -> String {
    let environment: String = stage
        .aws()
        .environment()
        .into_iter()
        .map(|(key, value)| format!("  export {key}={value}\n"))
        .collect();
    format!(
        "\nIn another terminal:\n\n{environment}  export PENSTOCK_BOOTSTRAP_SERVERS={}\n  export PENSTOCK_TOPIC_PREFIX={}\n\n  \
         cargo run -q -p penstock -- get            # then: describe orders, pause orders, resume orders, delete orders\n  \
         aws ecs describe-services --cluster {CLUSTER} --services penstock-orders\n  \
         aws sqs send-message --queue-url {} --message-body hello\n\n\
         Ctrl-C stops everything that was started here.",
        stage.broker.bootstrap(),
        stage.prefix,
        stage.queue_url
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_speed_that_the_story_cannot_be_told_at_is_refused_with_those_that_it_can() {
        for wrong in ["0", "9", "121", "-1", "fast", "30.5", "", "99999999999"] {
            let error = Args::try_parse_from(["demo", &format!("--speed={wrong}")]).expect_err("no speed");
            assert!(error.to_string().contains("from 10 to 120"), "{wrong}: {error}");
        }
        assert_eq!(speed("30"), Ok(30));
    }
}
