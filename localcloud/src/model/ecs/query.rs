//! The cluster query language: which container instances an expression means.
//!
//! Source: ECS Developer Guide, "Create expressions to define container instances for Amazon ECS tasks". Known are the subjects
//! `attribute:NAME`, `ec2InstanceId`, `runningTasksCount` and `task:group`, each with the operators that make sense on it; every
//! other is refused by name.

use regex::Regex;

use super::wire::invalid;
use crate::model::Fault;

/// An expression, read.
#[derive(Debug, Clone)]
pub(super) enum Query {
    All(Vec<Query>),
    Any(Vec<Query>),
    Not(Box<Query>),
    Is(Subject, Test),
}

/// What is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Subject {
    Attribute(String),
    InstanceId,
    RunningTasks,
    TaskGroup,
}

/// What it is held against.
#[derive(Debug, Clone)]
pub(super) enum Test {
    Exists,
    Equals(String),
    In(Vec<String>),
    Matches(Regex),
    /// How the count may compare to the number: less, equal, greater.
    Compares([bool; 3], i64),
    /// The subject is there, and the test fails.
    Differs(Box<Test>),
}

/// An instance as expressions see it.
pub(super) trait Instance {
    fn attribute(&self, name: &str) -> Option<&str>;
    fn ec2_id(&self) -> &str;
    /// The groups of the tasks on it, one for each task.
    fn task_groups(&self) -> &[String];
}

impl Query {
    /// Reads an expression.
    pub(super) fn parse(text: &str) -> Result<Self, Fault> {
        let mut reader = Reader { rest: text };
        let query = reader.any();
        let query = query.and_then(|query| match reader.skip_space() {
            "" => Ok(query),
            rest => Err(format!("'{rest}' is left over")),
        });
        query.map_err(|why| invalid(format!("The cluster query expression '{text}' is invalid: {why}.")))
    }

    /// Whether an instance is meant.
    pub(super) fn matches(&self, instance: &impl Instance) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.matches(instance)),
            Self::Any(parts) => parts.iter().any(|part| part.matches(instance)),
            Self::Not(part) => !part.matches(instance),
            Self::Is(subject, test) => match subject {
                Subject::Attribute(name) => instance.attribute(name).is_some_and(|value| test.holds(value)),
                Subject::InstanceId => test.holds(instance.ec2_id()),
                Subject::RunningTasks => test.holds(&instance.task_groups().len().to_string()),
                Subject::TaskGroup => instance.task_groups().iter().any(|group| test.holds(group)),
            },
        }
    }
}

impl Test {
    /// Whether a subject that is there passes.
    fn holds(&self, value: &str) -> bool {
        match self {
            Self::Exists => true,
            Self::Equals(wanted) => wanted == value,
            Self::In(list) => list.iter().any(|wanted| wanted == value),
            Self::Matches(pattern) => pattern.is_match(value),
            Self::Compares([less, equal, greater], number) => {
                value.parse::<i64>().is_ok_and(|value| match value.cmp(number) {
                    std::cmp::Ordering::Less => *less,
                    std::cmp::Ordering::Equal => *equal,
                    std::cmp::Ordering::Greater => *greater,
                })
            }
            Self::Differs(test) => !test.holds(value),
        }
    }
}

/// What is left of an expression.
struct Reader<'a> {
    rest: &'a str,
}

/// The operators as they are written, and their names. Signs that others begin with come last.
const OPERATORS: [(&str, &str); 22] = [
    ("==", "equals"),
    ("!=", "not_equals"),
    ("=~", "matches"),
    ("!~", "not_matches"),
    (">=", "greater_than_equal"),
    ("<=", "less_than_equal"),
    (">", "greater_than"),
    ("<", "less_than"),
    ("!in", "not_in"),
    ("!exists", "not_exists"),
    ("equals", "equals"),
    ("not_equals", "not_equals"),
    ("matches", "matches"),
    ("not_matches", "not_matches"),
    ("greater_than_equal", "greater_than_equal"),
    ("less_than_equal", "less_than_equal"),
    ("greater_than", "greater_than"),
    ("less_than", "less_than"),
    ("in", "in"),
    ("not_in", "not_in"),
    ("exists", "exists"),
    ("not_exists", "not_exists"),
];

type Read<T> = Result<T, String>;

impl<'a> Reader<'a> {
    fn skip_space(&mut self) -> &'a str {
        self.rest = self.rest.trim_start();
        self.rest
    }

    /// Takes a token that is next; one of letters ends where no letter follows.
    fn take(&mut self, token: &str) -> bool {
        let Some(rest) = self.skip_space().strip_prefix(token) else {
            return false;
        };
        let is_word = token.ends_with(char::is_alphabetic);
        if is_word && rest.starts_with(|c: char| c.is_alphanumeric() || c == '_') {
            return false;
        }
        self.rest = rest;
        true
    }

    fn any(&mut self) -> Read<Query> {
        let mut parts = vec![self.all()?];
        while self.take("||") || self.take("or") {
            parts.push(self.all()?);
        }
        Ok(one_or(parts, Query::Any))
    }

    fn all(&mut self) -> Read<Query> {
        let mut parts = vec![self.part()?];
        while self.take("&&") || self.take("and") {
            parts.push(self.part()?);
        }
        Ok(one_or(parts, Query::All))
    }

    fn part(&mut self) -> Read<Query> {
        if self.take("!") || self.take("not") {
            return Ok(Query::Not(Box::new(self.part()?)));
        }
        if self.take("(") {
            let inner = self.any()?;
            return match self.take(")") {
                true => Ok(inner),
                false => Err("a parenthesis is not closed".to_owned()),
            };
        }
        self.simple()
    }

    fn simple(&mut self) -> Read<Query> {
        let text = self.skip_space();
        let end = text.find(|c: char| c.is_whitespace() || "=!<>~()&|[],".contains(c));
        let (name, rest) = text.split_at(end.unwrap_or(text.len()));
        self.rest = rest;
        let subject = subject(name)?;
        let sign = OPERATORS.iter().find(|(sign, _)| self.take(sign));
        let Some((_, operator)) = sign else {
            return Err(format!("'{name}' is followed by no operator that localcloud knows"));
        };
        let test = match (&subject, *operator) {
            (Subject::Attribute(_), "exists") => Test::Exists,
            (Subject::Attribute(_), "not_exists") => {
                return Ok(Query::Not(Box::new(Query::Is(subject, Test::Exists))));
            }
            (Subject::RunningTasks, operator) => Test::Compares(
                comparison(operator).ok_or_else(|| format!("'{name}' cannot be asked with {operator}"))?,
                self.number()?,
            ),
            (_, "equals") => Test::Equals(self.argument()?),
            (_, "in") => Test::In(self.list()?),
            (_, "matches") => Test::Matches(self.pattern()?),
            (Subject::Attribute(_) | Subject::InstanceId, "not_equals") => differs(Test::Equals(self.argument()?)),
            (Subject::Attribute(_) | Subject::InstanceId, "not_in") => differs(Test::In(self.list()?)),
            (Subject::Attribute(_) | Subject::InstanceId, "not_matches") => differs(Test::Matches(self.pattern()?)),
            (_, operator) => return Err(format!("localcloud cannot ask '{name}' with {operator}")),
        };
        Ok(Query::Is(subject, test))
    }

    /// A literal, with or without quotes.
    fn argument(&mut self) -> Read<String> {
        let text = self.skip_space();
        if let Some(quote) = text.chars().next().filter(|first| matches!(first, '\'' | '"')) {
            let inner = &text[1..];
            let end = inner.find(quote).ok_or("a quote is not closed")?;
            self.rest = &inner[end + 1..];
            return Ok(inner[..end].to_owned());
        }
        let stops = |at: &usize| {
            let rest = &text[*at..];
            rest.starts_with(|c: char| c.is_whitespace() || "()[],".contains(c))
                || rest.starts_with("&&")
                || rest.starts_with("||")
        };
        let end = text.char_indices().map(|(at, _)| at).find(stops).unwrap_or(text.len());
        let (argument, rest) = text.split_at(end);
        self.rest = rest;
        match argument {
            "" => Err("an argument is missing".to_owned()),
            _ => Ok(argument.to_owned()),
        }
    }

    fn list(&mut self) -> Read<Vec<String>> {
        if !self.take("[") {
            return Err("a list in [ and ] is wanted".to_owned());
        }
        let mut list = vec![self.argument()?];
        while self.take(",") {
            list.push(self.argument()?);
        }
        match self.take("]") {
            true => Ok(list),
            false => Err("a list is not closed".to_owned()),
        }
    }

    /// As Java's, a pattern has to match the whole value.
    fn pattern(&mut self) -> Read<Regex> {
        let pattern = self.argument()?;
        Regex::new(&format!("^(?:{pattern})$")).map_err(|_| format!("localcloud cannot read the pattern '{pattern}'"))
    }

    fn number(&mut self) -> Read<i64> {
        let argument = self.argument()?;
        argument.parse().map_err(|_| format!("'{argument}' is no number"))
    }
}

fn subject(name: &str) -> Read<Subject> {
    match name {
        "ec2InstanceId" => Ok(Subject::InstanceId),
        "runningTasksCount" => Ok(Subject::RunningTasks),
        "task:group" => Ok(Subject::TaskGroup),
        _ => match name.strip_prefix("attribute:") {
            Some(attribute) if !attribute.is_empty() => Ok(Subject::Attribute(attribute.to_owned())),
            _ => Err(format!(
                "localcloud knows the subjects attribute:NAME, ec2InstanceId, runningTasksCount and task:group, not '{name}'"
            )),
        },
    }
}

fn comparison(operator: &str) -> Option<[bool; 3]> {
    match operator {
        "equals" => Some([false, true, false]),
        "not_equals" => Some([true, false, true]),
        "greater_than" => Some([false, false, true]),
        "greater_than_equal" => Some([false, true, true]),
        "less_than" => Some([true, false, false]),
        "less_than_equal" => Some([true, true, false]),
        _ => None,
    }
}

fn differs(test: Test) -> Test {
    Test::Differs(Box::new(test))
}

fn one_or(mut parts: Vec<Query>, join: fn(Vec<Query>) -> Query) -> Query {
    match parts.pop() {
        Some(only) if parts.is_empty() => only,
        last => {
            parts.extend(last);
            join(parts)
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    struct Sample {
        groups: Vec<String>,
    }

    impl Instance for Sample {
        fn attribute(&self, name: &str) -> Option<&str> {
            match name {
                "ecs.instance-type" => Some("m5.large"),
                "ecs.availability-zone" => Some("eu-west-1a"),
                "stack" => Some("prod"),
                _ => None,
            }
        }

        fn ec2_id(&self) -> &str {
            "i-abcd1234"
        }

        fn task_groups(&self) -> &[String] {
            &self.groups
        }
    }

    fn matches(text: &str) -> bool {
        let groups = ["service:orders", "service:invoices"].map(str::to_owned).to_vec();
        Query::parse(text).unwrap().matches(&Sample { groups })
    }

    #[test]
    fn the_expressions_of_the_guide_are_understood() {
        for text in [
            "attribute:ecs.instance-type == m5.large",
            "attribute:ecs.instance-type==m5.large",
            "attribute:ecs.availability-zone in [eu-west-1a, eu-west-1b]",
            "attribute:ecs.instance-type =~ m5.* and attribute:ecs.availability-zone != eu-west-1d",
            "task:group == service:orders",
            "not(task:group == database)",
            "runningTasksCount == 2",
            "runningTasksCount < 3 && runningTasksCount >= 2",
            "ec2InstanceId in ['i-abcd1234', 'i-wxyz7890']",
            "(attribute:stack equals dev or attribute:stack equals prod) and attribute:stack exists",
            "attribute:stack not_in [dev] || attribute:none exists",
            "attribute:none !exists",
            "!(attribute:stack =~ d.*)",
        ] {
            assert!(matches(text), "{text}");
        }
        for text in [
            "attribute:ecs.instance-type == m5",
            "attribute:ecs.instance-type =~ m5",
            "attribute:ecs.instance-type !in [m5.large]",
            "attribute:none == prod",
            "attribute:none != prod",
            "attribute:stack == prod and runningTasksCount > 2",
        ] {
            assert!(!matches(text), "{text}");
        }
    }

    #[test]
    fn what_is_not_known_is_refused_by_name() {
        for (text, word) in [
            ("agentVersion < 1.14.5", "agentVersion"),
            ("registeredAt < 2018-02-13", "registeredAt"),
            ("attribute:a > 3", "greater_than"),
            ("task:group != database", "not_equals"),
            ("attribute:a", "no operator"),
            ("attribute:a ==", "argument is missing"),
            ("attribute:a in b", "list"),
            ("attribute:a in [b", "not closed"),
            ("(attribute:a == b", "not closed"),
            ("attribute:a == b c", "'c' is left over"),
            ("attribute:a =~ [", "argument is missing"),
            ("attribute:a =~ *", "pattern '*'"),
            ("runningTasksCount == many", "many"),
            ("runningTasksCount in [1]", "in"),
            ("", "not ''"),
        ] {
            let message = Query::parse(text).unwrap_err().message;
            assert!(message.contains(word), "{text}: {message}");
        }
    }
}
