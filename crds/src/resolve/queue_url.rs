//! The URL of an SQS queue, which says region, account and name. Strict, since the bridge sends signed requests there.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::Regex;
use url::{Host, Url};

use super::faults::pattern;

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
}

const REMEDY: Cow<'static, str> = Cow::Borrowed(
    "write `https://sqs.<region>.amazonaws.com/<12 digits>/<queue>`, as `aws sqs get-queue-url` prints it",
);

static HOST: LazyLock<Regex> = LazyLock::new(|| {
    let region = "(?<{}>[a-z]{2,4}(?:-[a-z]+)+-[0-9]{1,2})";
    let named = |name: &str| region.replace("{}", name);
    pattern(&format!(
        r"^(?:(?:sqs|sqs-fips)\.{}\.(?:amazonaws\.com(?:\.cn)?|api\.aws)|{}\.queue\.amazonaws\.com(?:\.cn)?|vpce-[a-z0-9-]+\.sqs\.{}\.vpce\.amazonaws\.com(?:\.cn)?)$",
        named("plain"),
        named("legacy"),
        named("vpce"),
    ))
});
static NAME: LazyLock<Regex> = LazyLock::new(|| pattern(r"^[A-Za-z0-9_-]+(\.fifo)?$"));

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
    let region = HOST.captures(host).and_then(|parts| {
        ["plain", "legacy", "vpce"]
            .into_iter()
            .find_map(|name| parts.name(name))
    });
    match region {
        Some(region) => Ok(QueueUrl {
            region: Some(region.as_str().to_owned()),
            is_local: false,
        }),
        None => Err(NotAQueue {
            why: "is not at a host of SQS",
            remedy: REMEDY,
        }),
    }
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
}
