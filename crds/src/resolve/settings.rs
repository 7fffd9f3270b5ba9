//! The bridge's own settings among the environment variables of a task: what it would refuse at its start is refused here.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::Regex;
use url::Host;

use super::faults::{Faults, pattern};
use crate::{
    BUFFER_BYTES, DEFAULT_BUFFER_BYTES, LISTEN_VARIABLE, LOG_VARIABLE, MAX_BUFFER_BYTES_VARIABLE,
    MAX_IN_FLIGHT_VARIABLE, MOST_IN_FLIGHT, SqsSource,
};

/// What the names of all settings begin with.
const PREFIX: &str = "PENSTOCK_";

const SETTINGS: [&str; 4] = [
    LISTEN_VARIABLE,
    LOG_VARIABLE,
    MAX_BUFFER_BYTES_VARIABLE,
    MAX_IN_FLIGHT_VARIABLE,
];

/// What a bridge needs that holds no message, in MiB: an idle one takes 26.
const EMPTY_MIB: usize = 32;

const MIB: usize = 1 << 20;

/// A part of a log filter that names no span: a level, a target, or both.
static DIRECTIVE: LazyLock<Regex> =
    LazyLock::new(|| pattern("^[^=]*(=((?i:off|error|warn|info|debug|trace)|[0-5])?)?$"));

/// Whether a name is made like a setting's and is none.
pub(super) fn is_unknown(name: &str) -> bool {
    name.starts_with(PREFIX) && !SETTINGS.contains(&name)
}

/// Says what to write in place of a name that is made like a setting's and is none.
pub(super) fn known() -> String {
    format!(
        "use one of `{}`, or a name that does not begin with `{PREFIX}`",
        SETTINGS.join("`, `")
    )
}

/// Refuses the value of a setting that the bridge would refuse.
pub(super) fn check(path: &str, name: &str, value: &str, source: &SqsSource, faults: &mut Faults) {
    match name {
        MAX_IN_FLIGHT_VARIABLE => {
            // A profile does not know the queue, whose connector says how many messages come by one call.
            let is_known = !source.queue_url.is_empty();
            let least = if is_known { source.max_messages as usize } else { 1 };
            check_number(path, value, least, MOST_IN_FLIGHT, faults);
        }
        MAX_BUFFER_BYTES_VARIABLE => check_number(path, value, *BUFFER_BYTES.start(), *BUFFER_BYTES.end(), faults),
        LISTEN_VARIABLE if !is_address(value) => faults.hide(
            path,
            "is not an address to listen on",
            "write an IP address, a colon and a port, such as `0.0.0.0:8080`",
        ),
        LOG_VARIABLE if !is_filter(value) => faults.hide(
            path,
            "is not a filter for the log: behind `=` stands no level",
            "write it like `info` or `penstock_bridge=debug,info`, with `off`, `error`, `warn`, `info`, `debug` or `trace`",
        ),
        _ => {}
    }
}

/// Refuses a task in which the bridge would be killed once its buffer is full.
pub(super) fn check_memory(
    path: &str,
    memory: u32,
    environment: Option<&BTreeMap<String, String>>,
    faults: &mut Faults,
) {
    let given = environment.and_then(|environment| environment.get(MAX_BUFFER_BYTES_VARIABLE)?.parse().ok());
    let buffer = given
        .filter(|bytes| BUFFER_BYTES.contains(bytes))
        .unwrap_or(DEFAULT_BUFFER_BYTES);
    let needed = 2 * buffer.div_ceil(MIB) + EMPTY_MIB;
    if (memory as usize) < needed {
        let why = format!(
            "MiB are less than the {needed} that a bridge with a full buffer may take: twice {MAX_BUFFER_BYTES_VARIABLE}, which is {buffer}, and {EMPTY_MIB} MiB for itself"
        );
        faults.refuse(
            path,
            memory,
            why,
            format!("use at least {needed}, or lower `{MAX_BUFFER_BYTES_VARIABLE}` in `spec.task.environment`"),
        );
    }
}

fn check_number(path: &str, value: &str, least: usize, most: usize, faults: &mut Faults) {
    if !value.parse().is_ok_and(|number| (least..=most).contains(&number)) {
        faults.hide(
            path,
            "is not a number that the bridge takes",
            format!("write one from {least} to {most}, in digits alone"),
        );
    }
}

/// Whether a text is an IP address and a port, as the bridge reads them; a browser reads more as an address.
fn is_address(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else {
        return false;
    };
    let is_ip = match Host::parse(host) {
        Ok(Host::Ipv4(address)) => address.to_string() == host,
        Ok(Host::Ipv6(_)) => true,
        Ok(Host::Domain(_)) | Err(_) => false,
    };
    is_ip && port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port != 0)
}

/// Whether the bridge's log takes it as a filter. What stands in brackets is about spans, and is left to the log itself.
fn is_filter(text: &str) -> bool {
    text.contains('[') || text.split(',').all(|part| DIRECTIVE.is_match(part))
}
