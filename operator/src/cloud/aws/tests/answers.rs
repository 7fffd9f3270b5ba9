//! Answers of ECS that the model does not give: denials of one among several, lists longer than a page, and gaps.

use axum::http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::*;
use crate::cloud::ecs::failure;
use crate::plan::resources::{TAG_CONNECTOR, TAG_OPERATOR};

/// Returns an operator whose calls of ECS are answered by operation and input; nothing is a denial.
async fn told(answer: impl Fn(&str, &Value) -> Option<Value> + Clone + Send + Sync + 'static) -> (Aws, DropGuard) {
    let router = axum::Router::new().fallback(move |headers: HeaderMap, body: String| {
        let target = headers.get("x-amz-target").map(|target| target.to_str().unwrap());
        let operation = target.unwrap_or_default().rsplit('.').next().unwrap_or_default();
        let input = serde_json::from_str(&body).unwrap_or_default();
        let denied = || json!({"__type": "AccessDeniedException", "message": "not authorized"});
        let (status, answer) = match answer(operation, &input) {
            Some(answer) => (StatusCode::OK, answer),
            None => (StatusCode::BAD_REQUEST, denied()),
        };
        std::future::ready((status, answer.to_string()))
    });
    behind(router).await
}

fn names(input: &Value, field: &str) -> Vec<String> {
    serde_json::from_value(input[field].clone()).unwrap()
}

/// One hundred of a list by its token, and the token of the next.
fn page(all: &[String], input: &Value, field: &str) -> Value {
    let from: usize = input["nextToken"].as_str().map_or(0, |token| token.parse().unwrap());
    let to = all.len().min(from + 100);
    let next = (to < all.len()).then(|| to.to_string());
    json!({field: all[from..to], "nextToken": next})
}

#[tokio::test]
async fn a_cluster_that_may_not_be_described_fails_no_other() {
    let (aws, _stop) = told(|_, input| {
        let clusters = names(input, "clusters");
        let described = |name: &String| {
            json!({"clusterName": name, "settings": [{"name": "containerInsights", "value": "enabled"}]})
        };
        let is_allowed = !clusters.contains(&"denied".to_owned());
        is_allowed.then(|| json!({"clusters": clusters.iter().map(described).collect::<Vec<_>>()}))
    })
    .await;
    let clusters = ["data", "denied", "other"].map(str::to_owned).into();
    for _ in 0..2 {
        let found = ecs::container_insights(&aws, &clusters).await;
        assert_eq!((&found["data"], &found["other"]), (&Ok(true), &Ok(true)));
        assert!(matches!(found["denied"], Err(Error::Deny { .. })), "{found:?}");
    }
}

#[tokio::test]
async fn a_service_of_which_the_answer_says_nothing_is_unknown_and_one_that_is_missing_is_absent() {
    let missing =
        json!([{"arn": "arn:aws:ecs:eu-west-1:123456789012:service/data/penstock-orders", "reason": "MISSING"}]);
    for (failures, is_absent) in [(missing, true), (json!([]), false)] {
        let (aws, _stop) = told(move |_, _| Some(json!({"services": [], "failures": failures}))).await;
        let found = ecs::services(&aws, &[subject()]).await.remove(&orders()).unwrap();
        match found {
            Ok(found) => assert!(is_absent && found.is_none()),
            Err(error) => assert!(
                !is_absent && error.to_string().contains("says nothing of `penstock-orders`"),
                "{error}"
            ),
        }
    }
}

#[tokio::test]
async fn the_newest_failure_is_found_behind_the_first_hundred_stopped_tasks() {
    let tasks: Vec<_> = (0..250).map(|number| format!("task/data/{number}")).collect();
    let (aws, _stop) = told(move |operation, input| match operation {
        "ListTasks" => Some(page(&tasks, input, "taskArns")),
        _ => {
            let task = |arn: &String| {
                let number: u32 = arn.rsplit('/').next().unwrap().parse().unwrap();
                let reason = format!("CannotPullContainerError: {number}");
                json!({"taskArn": arn, "stoppedAt": number, "stopCode": "TaskFailedToStart", "stoppedReason": reason})
            };
            Some(json!({"tasks": names(input, "tasks").iter().map(task).collect::<Vec<_>>()}))
        }
    })
    .await;
    let newest = failure::newest(&aws, &subject(), |_| true).await.unwrap();
    assert_eq!(
        newest.as_deref(),
        Some("TaskFailedToStart: CannotPullContainerError: 249")
    );
}

#[tokio::test]
async fn inactive_definitions_of_ours_are_found_behind_those_of_others() {
    let arn = |number: usize| format!("arn:aws:ecs:eu-west-1:123456789012:task-definition/penstock-orders:{number}");
    let listed: Vec<_> = (0..130).map(arn).collect();
    let (aws, _stop) = told(move |operation, input| match operation {
        "ListTaskDefinitions" if input["status"] == "INACTIVE" => Some(page(&listed, input, "taskDefinitionArns")),
        "ListTaskDefinitions" => Some(json!({"taskDefinitionArns": []})),
        _ => {
            let number = input["taskDefinition"]
                .as_str()
                .unwrap()
                .rsplit(':')
                .next()
                .unwrap()
                .to_owned();
            let tag = |key: &str, value: &str| json!({"key": key, "value": value});
            let ours = [tag(TAG_OPERATOR, &owner().tag()), tag(TAG_CONNECTOR, "orders")];
            let tags = if number.parse::<u32>().unwrap() < 110 {
                &[][..]
            } else {
                &ours
            };
            Some(json!({"taskDefinition": {"family": "penstock-orders"}, "tags": tags}))
        }
    })
    .await;
    let found = definition::family(&aws, &subject()).await.unwrap().inactive;
    assert_eq!(found, (110..130).map(arn).collect::<Vec<_>>());
}
