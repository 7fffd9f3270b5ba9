//! Compares what was sent with what arrived, and deletes with what was stored when they were asked for. It knows nothing of how the messages
//! travelled, and shares no code with what moved them.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::records::Record;
use crate::sqs_proxy::Delete;

/// A message as its sender knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// The id that SQS gave it.
    pub id: String,
    /// Its place in the order of sending.
    pub number: usize,
    /// Its body.
    pub body: String,
    /// Its group, on a FIFO queue.
    pub group: Option<String>,
}

/// What is wrong, by message id; and what may be right or wrong, counted.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Sent, and neither in the topic nor in the dead letters.
    pub lost: Vec<String>,
    /// Arrived, and never sent.
    pub strange: Vec<String>,
    /// Arrived with another body.
    pub altered: Vec<String>,
    /// Arrived after a later message of the same group, or in another partition than the group; first copies only.
    pub disordered: Vec<String>,
    /// Asked to be deleted before Kafka had stored it, in the topic or the dead letters; or never stored at all.
    pub premature: Vec<String>,
    /// Records beyond the first of each message.
    pub duplicates: usize,
    /// The messages that have such records.
    pub repeated: Vec<String>,
}

impl Verdict {
    /// Returns the ids of the first messages about which something is wrong.
    pub fn suspects(&self) -> Vec<String> {
        let lists = [
            &self.lost,
            &self.altered,
            &self.disordered,
            &self.premature,
            &self.repeated,
        ];
        lists.into_iter().flat_map(|ids| ids.iter().take(3)).cloned().collect()
    }

    /// Panics unless everything arrived as it was sent, with at most so many duplicates.
    ///
    /// # Panics
    /// See above.
    pub fn assert_sound(&self, most_duplicates: usize) {
        let faults = [
            &self.lost,
            &self.strange,
            &self.altered,
            &self.disordered,
            &self.premature,
        ];
        assert!(faults.iter().all(|ids| ids.is_empty()), "{}", self.summary());
        assert!(
            self.duplicates <= most_duplicates,
            "over {most_duplicates}: {}",
            self.summary()
        );
    }

    fn summary(&self) -> String {
        let part =
            |what: &str, ids: &[String]| format!("{} {what} {:?}", ids.len(), ids.iter().take(5).collect::<Vec<_>>());
        format!(
            "{}; {}; {}; {}; {}; {} duplicates",
            part("lost", &self.lost),
            part("strange", &self.strange),
            part("altered", &self.altered),
            part("disordered", &self.disordered),
            part("deleted too early", &self.premature),
            self.duplicates
        )
    }
}

/// Judges the records of the topic and of the dead letters against what was sent.
pub fn judge(sent: &[Sent], topic: &[Record], dead_letters: &[Record]) -> Verdict {
    let known: HashMap<&str, &Sent> = sent.iter().map(|sent| (sent.id.as_str(), sent)).collect();
    let (mut verdict, mut arrived) = (Verdict::default(), HashSet::new());
    for record in topic.iter().chain(dead_letters) {
        let id = message_id(record);
        match known.get(id.as_str()) {
            None => verdict.strange.push(id),
            Some(sent) => {
                if record.value.as_deref() != Some(sent.body.as_bytes()) {
                    verdict.altered.push(id.clone());
                }
                if !arrived.insert(id.clone()) {
                    verdict.duplicates += 1;
                    verdict.repeated.push(id);
                }
            }
        }
    }
    let missing = sent.iter().filter(|sent| !arrived.contains(&sent.id));
    verdict.lost = missing.map(|sent| sent.id.clone()).collect();
    verdict.disordered = disordered(&known, topic);
    verdict
}

/// Returns the ids that somebody asked to delete before a record of them was below the high watermark, or without one.
///
/// The broker stamps records as it appends them (`LogAppendTime`), and what a single replica appended is below the high watermark. Broker and
/// proxy read the same clock. A delete of a receipt that nobody was given deletes nothing.
pub fn premature(deletes: &[Delete], topic: &[Record], dead_letters: &[Record]) -> Vec<String> {
    let mut stored: HashMap<String, i64> = HashMap::new();
    for record in topic.iter().chain(dead_letters) {
        let at = record.timestamp.unwrap_or(i64::MAX);
        let first = stored.entry(message_id(record)).or_insert(at);
        *first = at.min(*first);
    }
    let early = deletes.iter().filter_map(|delete| {
        let id = delete.id.as_ref()?;
        let safe = stored.get(id).is_some_and(|at| *at <= delete.at);
        (!safe).then(|| id.clone())
    });
    early.collect()
}

/// Returns the id that a record carries; `?` where it has none, which no message is called.
pub fn message_id(record: &Record) -> String {
    record.header("sqs.message.id").unwrap_or_else(|| "?".to_owned())
}

/// Records come in the order of their partition and offset.
fn disordered(known: &HashMap<&str, &Sent>, topic: &[Record]) -> Vec<String> {
    let mut last: BTreeMap<&str, (i32, usize)> = BTreeMap::new();
    let (mut seen, mut disordered) = (HashSet::new(), Vec::new());
    for record in topic {
        let id = message_id(record);
        let Some(sent) = known.get(id.as_str()) else { continue };
        let (Some(group), true) = (sent.group.as_deref(), seen.insert(id.clone())) else {
            continue;
        };
        let before = last.insert(group, (record.partition, sent.number));
        if before.is_some_and(|(partition, number)| partition != record.partition || number > sent.number) {
            disordered.push(id);
        }
    }
    disordered
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(number: usize) -> Sent {
        Sent {
            id: format!("id-{number}"),
            number,
            body: format!("body {number}"),
            group: Some(format!("group-{}", number % 2)),
        }
    }

    fn record(number: usize) -> Record {
        Record {
            partition: i32::try_from(number % 2).expect("0 or 1"),
            offset: i64::try_from(number).expect("small"),
            timestamp: Some(1_000),
            key: None,
            value: Some(format!("body {number}").into_bytes()),
            headers: vec![("sqs.message.id".to_owned(), format!("id-{number}").into_bytes())],
        }
    }

    /// Ten messages in two groups, and the records of a faultless run: doctored by the tests below.
    fn faultless() -> (Vec<Sent>, Vec<Record>) {
        let mut records: Vec<_> = (0..10).map(record).collect();
        records.sort_by_key(|record| (record.partition, record.offset));
        ((0..10).map(sent).collect(), records)
    }

    #[test]
    fn the_checker_passes_a_faultless_run_and_one_with_a_dead_letter() {
        let (sent, mut topic) = faultless();
        assert_eq!(judge(&sent, &topic, &[]), Verdict::default());
        let dead = topic.remove(3);
        assert_eq!(judge(&sent, &topic, &[dead]), Verdict::default());
    }

    #[test]
    fn the_checker_sees_one_lost_message() {
        let (sent, mut topic) = faultless();
        topic.remove(3);
        assert_eq!(judge(&sent, &topic, &[]).lost, ["id-6"]);
        assert!(std::panic::catch_unwind(|| judge(&sent, &topic, &[]).assert_sound(100)).is_err());
    }

    #[test]
    fn the_checker_counts_duplicates_across_topic_and_dead_letters() {
        let (sent, mut topic) = faultless();
        topic.push(topic[0].clone());
        let verdict = judge(&sent, &topic, &[topic[1].clone()]);
        assert_eq!(verdict.duplicates, 2);
        verdict.assert_sound(2);
        assert!(std::panic::catch_unwind(|| judge(&sent, &topic, &[]).assert_sound(0)).is_err());
    }

    #[test]
    fn the_checker_sees_a_changed_body_and_a_message_that_nobody_sent() {
        let (sent, mut topic) = faultless();
        topic[0].value = Some(b"body".to_vec());
        topic[1].headers.clear();
        let verdict = judge(&sent, &topic, &[]);
        assert_eq!(
            (verdict.altered, verdict.strange),
            (vec!["id-0".to_owned()], vec!["?".to_owned()])
        );
    }

    #[test]
    fn the_checker_sees_a_message_that_was_overtaken_and_forgives_its_second_copy() {
        let (sent, mut topic) = faultless();
        topic.push(topic[0].clone());
        assert!(
            judge(&sent, &topic, &[]).disordered.is_empty(),
            "a late copy is no disorder"
        );
        topic.swap(1, 2);
        assert_eq!(judge(&sent, &topic, &[]).disordered, ["id-2"]);
    }

    #[test]
    fn the_checker_sees_a_group_that_changed_its_partition() {
        let (sent, mut topic) = faultless();
        topic[4].partition = 1;
        assert_eq!(judge(&sent, &topic, &[]).disordered, ["id-8"]);
    }

    #[test]
    fn the_checker_sees_a_delete_that_came_before_its_record_and_one_without_any() {
        let (_, mut topic) = faultless();
        let dead = topic.remove(3);
        let delete = |number: usize, at| Delete {
            id: Some(format!("id-{number}")),
            receipt: "r".to_owned(),
            at,
        };
        let unknown = Delete {
            id: None,
            ..delete(0, 1)
        };
        let deletes = [
            delete(0, 1_000),
            delete(6, 1_000),
            delete(2, 999),
            unknown,
            delete(11, 5_000),
        ];
        assert_eq!(premature(&deletes, &topic, &[dead]), ["id-2", "id-11"]);
    }
}
