//! Which world a call acts in, and what one service's call makes another do at once.

use serde_json::Value;

use super::{Answer, Call, Cloud, Fault, Millis, Now, Region, Scope, Service, ids, input, sns};

/// What came of one look at a queue.
#[derive(Debug)]
pub enum Received {
    /// The receive is over.
    Answer(Answer),
    /// Nothing is there yet: look again when something was sent, or after this many milliseconds.
    Wait(u64),
}

impl Cloud {
    /// Answers one call of `scope`; `input` was already held against the API model.
    pub fn handle(&mut self, service: Service, scope: &Scope, operation: &str, input: &Value, now: Now) -> Answer {
        self.handle_as("", service, scope, operation, input, now)
    }

    /// Answers one call, of whoever holds `access_key_id`: only STS wants to know.
    pub fn handle_as(
        &mut self,
        access_key_id: &str,
        service: Service,
        scope: &Scope,
        operation: &str,
        input: &Value,
        now: Now,
    ) -> Answer {
        let home = home(service, scope, input);
        let call = Call {
            scope: &home,
            operation,
            input,
            now,
        };
        match service {
            Service::Ecs => self.region(&home).ecs.handle(&call),
            Service::Scaling => self.handle_scaling(&call),
            Service::CloudWatch => self.region(&home).cloudwatch.handle(&call),
            Service::Sqs => {
                let region = self.region(&home);
                region.note_queue_use(&call);
                region.sqs.handle(&call)
            }
            Service::Sns => {
                let answer = self.region(&home).sns.handle(&call);
                self.deliver(now);
                answer
            }
            Service::Sts => self.sts.handle(&call, access_key_id),
            Service::Secrets => self.region(&home).secrets.handle(&call),
        }
    }

    /// Returns the world of `scope`, made on its first use.
    pub fn region(&mut self, scope: &Scope) -> &mut Region {
        let (endpoint, seed) = (&self.endpoint, self.seed);
        self.regions.entry(scope.clone()).or_insert_with(|| {
            let salt = format!("{}/{}", scope.account, scope.region);
            let mut region = Region::default();
            region.sqs.endpoint = endpoint.clone();
            region.sqs.ids = ids::Ids::new(seed, &format!("sqs/{salt}"));
            region.sns.ids = ids::Ids::new(seed, &format!("sns/{salt}"));
            region.secrets.ids = ids::Ids::new(seed, &format!("secrets/{salt}"));
            region.scaling.ids = ids::Ids::new(seed, &format!("scaling/{salt}"));
            region.ecs.ids = ids::Ids::new(seed, &format!("ecs/{salt}"));
            region
        })
    }

    /// Receives messages, or says how long there is nothing to receive, for a call that came in at `since`.
    /// An impatient caller is answered at once.
    pub fn receive(&mut self, scope: &Scope, input: &Value, since: Millis, patient: bool, now: Now) -> Received {
        let home = home(Service::Sqs, scope, input);
        match self.region(&home).sqs.time_to_wait(input, since, now) {
            Some(milliseconds) if patient => Received::Wait(milliseconds),
            _ => Received::Answer(self.handle(Service::Sqs, scope, "ReceiveMessage", input, now)),
        }
    }

    /// Sets what queue URLs begin with, such as `http://127.0.0.1:4566`.
    pub fn set_endpoint(&mut self, endpoint: String) {
        for region in self.regions.values_mut() {
            region.sqs.endpoint.clone_from(&endpoint);
        }
        self.endpoint = endpoint;
    }

    /// Publishes to a topic of any world, as an alarm does, and delivers at once. Returns the message id.
    pub fn publish(
        &mut self,
        topic_arn: &str,
        subject: Option<&str>,
        message: &str,
        now: Now,
    ) -> Result<String, Fault> {
        let missing = || Fault {
            code: "NotFoundException".into(),
            message: "Topic does not exist".into(),
            status: 404,
        };
        let scope = scope_of_arn(topic_arn).ok_or_else(missing)?;
        let published = self.region(&scope).sns.publish(topic_arn, subject, message, now);
        self.deliver(now);
        published
    }

    /// Hands what topics have sent out to the queues that subscribed; a queue that is gone loses it, as on AWS.
    pub fn deliver(&mut self, now: Now) {
        let deliveries: Vec<sns::Delivery> = self
            .regions
            .values_mut()
            .flat_map(|region| std::mem::take(&mut region.sns.outbox))
            .collect();
        for delivery in deliveries {
            let Some(region) = self.regions.get_mut(&delivery.scope) else {
                continue;
            };
            region.sqs.deliver(&delivery.queue, &delivery.send, now);
        }
    }

    /// Tells Application Auto Scaling the live count of the service that a call names, and does to counts and alarms what it asks for.
    fn handle_scaling(&mut self, call: &Call<'_>) -> Answer {
        let region = self.region(call.scope);
        if call.operation == "RegisterScalableTarget" {
            let resource = input::required(call.input, "ResourceId");
            let count = service_of(resource).and_then(|(cluster, name)| region.ecs.service_counts(cluster, name));
            region.scaling.note_count(resource, count);
        }
        let answer = region.scaling.handle(call);
        region.apply_scaling(call.scope, call.now);
        answer
    }
}

/// Returns the cluster and name in a resource id such as `service/main/orders`.
pub fn service_of(resource_id: &str) -> Option<(&str, &str)> {
    resource_id.strip_prefix("service/")?.split_once('/')
}

/// Returns the account and region in an ARN.
pub fn scope_of_arn(arn: &str) -> Option<Scope> {
    let mut parts = arn.split(':').skip(3);
    let (region, account) = (parts.next()?, parts.next()?);
    Some(Scope {
        account: account.to_owned(),
        region: region.to_owned(),
    })
}

/// Returns the world that the named resource lives in: the account in a queue URL or topic ARN rules over the caller's.
fn home(service: Service, caller: &Scope, input: &Value) -> Scope {
    let account = match service {
        Service::Sqs => input::text(input, "QueueUrl")
            .and_then(account_in_url)
            .or_else(|| input::text(input, "QueueOwnerAWSAccountId").map(str::to_owned)),
        Service::Sns => ["TopicArn", "SubscriptionArn", "ResourceArn"]
            .iter()
            .find_map(|name| scope_of_arn(input::text(input, name)?))
            .filter(|named| named.region == caller.region)
            .map(|named| named.account),
        _ => None,
    };
    Scope {
        account: account.unwrap_or_else(|| caller.account.clone()),
        region: caller.region.clone(),
    }
}

/// Returns the account of a queue URL, whose path is `/<account>/<name>`.
fn account_in_url(url: &str) -> Option<String> {
    let account = url.rsplit('/').nth(1)?;
    let is_account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
    is_account.then(|| account.to_owned())
}
