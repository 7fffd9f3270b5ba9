//! The URL of an SQS queue, which says region, account and name. Strict, since the bridge sends signed requests there where
//! the host is not the usual one ([`queue_endpoint`]).

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::Regex;
use url::{Host, Url};

use super::faults::{is_region, pattern};
use super::partition;

/// What makes a URL no queue's, and what to do.
pub(super) struct NotAQueue {
    pub(super) why: &'static str,
    pub(super) remedy: Cow<'static, str>,
}

/// What the URL of a queue says beside account and name.
pub(super) struct QueueUrl {
    /// The region, unless the queue is on this machine.
    pub(super) region: Option<String>,
    /// Whether the host is a loopback address: a model or an emulator of SQS.
    pub(super) is_local: bool,
    /// Whether the host follows from the region alone.
    is_usual: bool,
}

const REMEDY: Cow<'static, str> = Cow::Borrowed(
    "write `https://sqs.<region>.amazonaws.com/<12 digits>/<queue>`, as `aws sqs get-queue-url` prints it",
);

static VPC_ENDPOINT: LazyLock<Regex> = LazyLock::new(|| pattern("^vpce-[a-z0-9-]+$"));
static NAME: LazyLock<Regex> = LazyLock::new(|| pattern(r"^[A-Za-z0-9_-]+(\.fifo)?$"));

/// Returns where calls about a queue go because its URL says so: a VPC endpoint, one for FIPS or IPv6, a port of this machine.
/// Nothing where the host says no more than the region, as that which SQS prints by itself, and nothing for what is no queue's URL.
pub fn queue_endpoint(text: &str) -> Option<String> {
    let queue = parse(text).ok()?;
    let url = Url::parse(text).ok()?;
    (!queue.is_usual).then(|| url.origin().ascii_serialization())
}

/// Takes a queue's URL apart.
pub(super) fn parse(text: &str) -> Result<QueueUrl, NotAQueue> {
    let url = Url::parse(text).map_err(|_| NotAQueue {
        why: "is not a URL",
        remedy: REMEDY,
    })?;
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
        return Err(NotAQueue {
            why: "has more parts than a queue's URL",
            remedy: "remove user name, password, query and fragment".into(),
        });
    }
    check_path(&url)?;
    let parsed = of_queue(&url)?;
    // Others read the text itself: whether it ends with `.fifo`, for instance.
    if url.as_str() != text {
        return Err(NotAQueue {
            why: "is not written as SQS writes it",
            remedy: format!("write `{url}`").into(),
        });
    }
    Ok(parsed)
}

fn of_queue(url: &Url) -> Result<QueueUrl, NotAQueue> {
    let host = url.host_str().unwrap_or_default();
    if is_loopback(url) && matches!(url.scheme(), "http" | "https") {
        return Ok(QueueUrl {
            region: None,
            is_local: true,
            is_usual: false,
        });
    }
    if url.scheme() != "https" {
        return Err(NotAQueue {
            why: "is not encrypted; http is for queues on this machine",
            remedy: "begin it with `https://`".into(),
        });
    }
    if url.port().is_some() {
        return Err(NotAQueue {
            why: "names a port, which SQS has not",
            remedy: REMEDY,
        });
    }
    match of_host(host) {
        Some((region, is_usual)) => Ok(QueueUrl {
            region: Some(region.to_owned()),
            is_local: false,
            is_usual,
        }),
        None => Err(NotAQueue {
            why: "is not at a host of SQS",
            remedy: REMEDY,
        }),
    }
}

/// Returns the region of a host of SQS, and whether the host follows from it. Older tools print hosts with `queue`, which are
/// answered by the same service.
fn of_host(host: &str) -> Option<(&str, bool)> {
    if host == "queue.amazonaws.com" {
        return Some(("us-east-1", true));
    }
    let region = host.split('.').find(|label| is_region(label))?;
    let partition::Partition { suffix, dual_stack, .. } = partition::of_region(region);
    let usual = [format!("sqs.{region}.{suffix}"), format!("{region}.queue.{suffix}")];
    let others = [
        format!("sqs-fips.{region}.{suffix}"),
        format!("sqs.{region}.{dual_stack}"),
        format!("sqs-fips.{region}.{dual_stack}"),
    ];
    let of_vpc = host
        .strip_suffix(&format!(".sqs.{region}.vpce.{suffix}"))
        .is_some_and(|endpoint| VPC_ENDPOINT.is_match(endpoint));
    let is_usual = usual.iter().any(|usual| usual == host);
    (is_usual || of_vpc || others.iter().any(|other| other == host)).then_some((region, is_usual))
}

fn check_path(url: &Url) -> Result<(), NotAQueue> {
    let parts: Vec<&str> = url.path().split('/').collect();
    let ["", account, name] = parts.as_slice() else {
        return Err(NotAQueue {
            why: "does not end with an account and a queue's name",
            remedy: REMEDY,
        });
    };
    if account.len() != 12 || !account.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(NotAQueue {
            why: "has no account of 12 digits before the queue's name",
            remedy: REMEDY,
        });
    }
    if name.len() > 80 || !NAME.is_match(name) {
        return Err(NotAQueue {
            why: "does not end with a queue's name",
            remedy: "end it with 1 to 80 letters, digits, hyphens and underscores, with `.fifo` behind them for a FIFO queue"
                .into(),
        });
    }
    Ok(())
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(domain)) => domain == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_host_says_its_region() {
        for (host, region) in [
            ("sqs.us-east-1.amazonaws.com", "us-east-1"),
            ("sqs.cn-north-1.amazonaws.com.cn", "cn-north-1"),
            ("sqs-fips.us-gov-west-1.amazonaws.com", "us-gov-west-1"),
            ("sqs.eu-west-1.api.aws", "eu-west-1"),
            ("eu-central-1.queue.amazonaws.com", "eu-central-1"),
            ("vpce-0a1b2c-d3e4.sqs.eu-west-1.vpce.amazonaws.com", "eu-west-1"),
            (
                "vpce-0a1b2c-d3e4-eu-west-1a.sqs.eu-west-1.vpce.amazonaws.com",
                "eu-west-1",
            ),
            ("queue.amazonaws.com", "us-east-1"),
            ("sqs.cn-north-1.api.amazonwebservices.com.cn", "cn-north-1"),
            ("sqs.eusc-de-east-1.amazonaws.eu", "eusc-de-east-1"),
            ("sqs.us-iso-east-1.c2s.ic.gov", "us-iso-east-1"),
            ("sqs.us-isob-east-1.sc2s.sgov.gov", "us-isob-east-1"),
        ] {
            let url = parse(&format!("https://{host}/123456789012/orders"))
                .unwrap_or_else(|refusal| panic!("{host} {}", refusal.why));
            assert_eq!(url.region.as_deref(), Some(region));
            assert!(!url.is_local);
        }
    }

    #[test]
    fn a_host_that_only_looks_like_sqs_is_refused() {
        for host in [
            "sqs.eu-west-1.amazonaws.com.evil.example",
            "evil.example",
            "sqs.amazonaws.com",
            "sqs.cn-north-1.amazonaws.com",
            "sqs.us-east-1.amazonaws.com.cn",
            "sqs.eusc-de-east-1.amazonaws.com",
            "vpce-a.evil.sqs.eu-west-1.vpce.amazonaws.com",
            "eu-west-1.evil.example",
            "169.254.170.2",
            "10.0.0.1",
        ] {
            assert!(parse(&format!("https://{host}/123456789012/orders")).is_err(), "{host}");
        }
    }

    #[test]
    fn only_this_machine_may_go_without_encryption() {
        assert!(
            parse("http://127.0.0.1:9324/000000000000/orders").is_ok_and(|url| url.is_local && url.region.is_none())
        );
        assert!(parse("http://localhost:9324/000000000000/orders").is_ok());
        assert!(parse("http://[::1]:9324/000000000000/orders").is_ok());
        assert!(parse("http://sqs.eu-west-1.amazonaws.com/123456789012/orders").is_err());
    }

    #[test]
    fn what_is_read_as_another_text_than_it_is_is_refused_with_the_form_to_write() {
        let sound = "https://sqs.us-east-1.amazonaws.com/123456789012/o.fifo";
        for text in [
            "https://sqs.us-east-1.amazonaws.com/123456789012/o.fifo\n",
            " https://sqs.us-east-1.amazonaws.com/123456789012/o.fifo",
            "https://sqs.us-east-1.amazonaws.com/123456\n789012/o.fifo",
            "https://sqs.us-east-1.amazonaws.com/1234\t56789012/o.fifo",
            "https:sqs.us-east-1.amazonaws.com/123456789012/o.fifo",
            "https://sqs.us-east-1.amazonaws.com\\123456789012\\o.fifo",
            "HTTPS://sqs.us-east-1.amazonaws.com/123456789012/o.fifo",
            "https://SQS.us-east-1.amazonaws.com/123456789012/o.fifo",
            "https://sqs.us-east-1.amazonaws.com:443/123456789012/o.fifo",
            "https://sqs.us-east-1.amazonaws.com/x/../123456789012/o.fifo",
        ] {
            let refused = parse(text).err().unwrap_or_else(|| panic!("{text:?} is taken"));
            assert_eq!(refused.remedy, format!("write `{sound}`"), "{text:?}");
        }
        assert!(parse(sound).is_ok());
        assert!(parse("https://sqs.us-east-1.amazonaws.com//123456789012/o").is_err());
    }

    #[test]
    fn a_host_that_says_more_than_the_region_is_where_calls_go() {
        for (origin, endpoint) in [
            ("https://sqs.eu-west-1.amazonaws.com", false),
            ("https://eu-west-1.queue.amazonaws.com", false),
            ("https://queue.amazonaws.com", false),
            ("https://sqs.cn-north-1.amazonaws.com.cn", false),
            ("https://evil.example", false),
            ("https://vpce-0a1b2c-d3e4.sqs.eu-west-1.vpce.amazonaws.com", true),
            ("https://sqs-fips.us-east-1.amazonaws.com", true),
            ("https://sqs.eu-west-1.api.aws", true),
            ("http://127.0.0.1:9324", true),
            ("http://localhost:9324", true),
        ] {
            let found = queue_endpoint(&format!("{origin}/123456789012/orders"));
            assert_eq!(found.as_deref(), endpoint.then_some(origin), "{origin}");
        }
    }
}
