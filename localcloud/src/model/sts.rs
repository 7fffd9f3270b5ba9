//! STS: sessions of roles. Every role exists and trusts everyone, unless it was given an external id to insist on.

use std::collections::BTreeMap;

use serde_json::json;

use super::ids::Ids;
use super::{Answer, Call, Fault, Millis, Now, input};

/// How long a session lasts that does not say, in seconds.
const DEFAULT_DURATION: i64 = 3600;

/// What access key ids are made of.
const LETTERS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// The sessions that were handed out, over all accounts.
#[derive(Debug, Default)]
pub struct Sts {
    /// The roles that may only be assumed with this external id, by ARN.
    pub external_ids: BTreeMap<String, String>,
    sessions: BTreeMap<String, Session>,
    ids: Option<Ids>,
}

/// A session of a role.
#[derive(Debug)]
struct Session {
    account: String,
    /// The ARN of the assumed role, the session's name included.
    arn: String,
    /// The role's id and the session's name.
    user_id: String,
    until: Millis,
}

impl Sts {
    /// Answers one call of whoever holds `access_key_id`.
    pub fn handle(&mut self, call: &Call<'_>, access_key_id: &str) -> Answer {
        match call.operation {
            "GetCallerIdentity" => Ok(self.identity(call, access_key_id)),
            "AssumeRole" => self.assume(call),
            _ => Err(call.unknown_operation()),
        }
    }

    /// Returns the account that an access key id belongs to: that of its session, or the twelve digits that it is.
    pub fn account_of(&self, access_key_id: &str, now: Now) -> Result<Option<String>, Fault> {
        if let Some(session) = self.sessions.get(access_key_id) {
            if session.until <= now.real {
                let message = "The security token included in the request is expired";
                return Err(Fault {
                    code: "ExpiredTokenException".to_owned(),
                    message: message.to_owned(),
                    status: 403,
                });
            }
            return Ok(Some(session.account.clone()));
        }
        Ok(is_account(access_key_id).then(|| access_key_id.to_owned()))
    }

    fn identity(&self, call: &Call<'_>, access_key_id: &str) -> serde_json::Value {
        let account = &call.scope.account;
        match self.sessions.get(access_key_id) {
            Some(session) => json!({"Account": session.account, "Arn": session.arn, "UserId": session.user_id}),
            None => json!({"Account": account, "Arn": call.scope.global_arn("iam", "root"), "UserId": account}),
        }
    }

    fn assume(&mut self, call: &Call<'_>) -> Answer {
        let role_arn = input::required(call.input, "RoleArn");
        let name = input::required(call.input, "RoleSessionName");
        let partition = call.scope.partition();
        let (account, role) = role_in(partition, role_arn).ok_or_else(|| {
            Fault::client(
                "ValidationError",
                format!("{role_arn} is invalid: arn:{partition}:iam::<account>:role/<name> is wanted"),
            )
        })?;
        self.check_external_id(role_arn, input::text(call.input, "ExternalId"))?;
        let now = call.now.real;
        let until = now + input::integer(call.input, "DurationSeconds").unwrap_or(DEFAULT_DURATION) * 1000;
        // What ended an hour ago is asked for no more: forgetting it bounds what is kept.
        self.sessions.retain(|_, session| session.until + 3_600_000 > now);
        let ids = self.ids.get_or_insert_with(|| Ids::new(now.unsigned_abs(), "sts"));
        let key = format!("ASIA{}", ids.text(16, LETTERS));
        let (secret, token) = (ids.text(40, LETTERS), ids.text(160, LETTERS));
        let user_id = format!("AROA{}:{name}", ids.text(17, LETTERS));
        let arn = format!("arn:{partition}:sts::{account}:assumed-role/{role}/{name}");
        let answer = json!({
            "Credentials": {
                "AccessKeyId": key, "SecretAccessKey": secret, "SessionToken": token, "Expiration": until / 1000,
            },
            "AssumedRoleUser": {"AssumedRoleId": user_id, "Arn": arn},
        });
        self.sessions.insert(
            key,
            Session {
                account,
                arn,
                user_id,
                until,
            },
        );
        Ok(answer)
    }

    fn check_external_id(&self, role_arn: &str, given: Option<&str>) -> Result<(), Fault> {
        let wanted = self.external_ids.get(role_arn).map(String::as_str);
        if wanted.is_none() || wanted == given {
            return Ok(());
        }
        let message = format!("not authorized to perform: sts:AssumeRole on resource: {role_arn}");
        Err(Fault {
            code: "AccessDenied".to_owned(),
            message,
            status: 403,
        })
    }
}

/// Returns the account and the role's name, without its path.
fn role_in(partition: &str, arn: &str) -> Option<(String, String)> {
    let rest = arn.strip_prefix("arn:")?.strip_prefix(partition)?;
    let (account, path) = rest.strip_prefix(":iam::")?.split_once(":role/")?;
    let name = path.rsplit('/').next().filter(|name| !name.is_empty())?;
    is_account(account).then(|| (account.to_owned(), name.to_owned()))
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::Sts;
    use crate::model::{Answer, Call, Now, Scope};

    const ROLE: &str = "arn:aws:iam::999988887777:role/path/reader";

    fn call(sts: &mut Sts, operation: &str, key: &str, input: &Value, real: i64) -> Answer {
        let scope = Scope {
            account: "111122223333".into(),
            region: "eu-west-1".into(),
        };
        sts.handle(
            &Call {
                scope: &scope,
                operation,
                input,
                now: Now { real, fast: real },
            },
            key,
        )
    }

    fn assume(sts: &mut Sts, extra: Value) -> Answer {
        let mut input = json!({"RoleArn": ROLE, "RoleSessionName": "s"});
        input
            .as_object_mut()
            .expect("an object")
            .extend(extra.as_object().expect("an object").clone());
        call(sts, "AssumeRole", "", &input, 1_000)
    }

    #[test]
    fn a_session_acts_in_the_account_of_its_role_until_it_ends() {
        let mut sts = Sts::default();
        let output = assume(&mut sts, json!({"DurationSeconds": 900})).expect("every role can be assumed");
        let key = output["Credentials"]["AccessKeyId"].as_str().expect("a key").to_owned();
        let at = |real| Now { real, fast: real };
        assert_eq!(sts.account_of(&key, at(2_000)), Ok(Some("999988887777".into())));
        assert_eq!(
            sts.account_of(&key, at(901_000)).expect_err("it is over").code,
            "ExpiredTokenException"
        );
        let identity = call(&mut sts, "GetCallerIdentity", &key, &json!({}), 2_000).expect("anyone may ask");
        assert_eq!(identity["Arn"], "arn:aws:sts::999988887777:assumed-role/reader/s");
    }

    #[test]
    fn twelve_digits_are_an_account_and_other_keys_are_nobody() {
        let (sts, now) = (Sts::default(), Now { real: 0, fast: 0 });
        assert_eq!(sts.account_of("444455556666", now), Ok(Some("444455556666".into())));
        assert_eq!(sts.account_of("AKIAEXAMPLE", now), Ok(None));
    }

    #[test]
    fn a_role_may_insist_on_its_external_id() {
        let mut sts = Sts::default();
        sts.external_ids.insert(ROLE.into(), "x-1".into());
        assert_eq!(
            assume(&mut sts, json!({})).expect_err("it is missing").code,
            "AccessDenied"
        );
        assert_eq!(
            assume(&mut sts, json!({"ExternalId": "x-2"}))
                .expect_err("it is another")
                .status,
            403
        );
        assert!(assume(&mut sts, json!({"ExternalId": "x-1"})).is_ok());
    }
}
