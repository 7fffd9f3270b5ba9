"""Asks an AWS, real or emulated, some of the contract's questions with boto3, whose wire formats are not those of the Rust SDK.

`contract.py [--account ID] NAME...` asks those of the named checks that are here, and prints `ok NAME` or `FAIL NAME: why` for each;
`contract.py --list` prints the names of all, `contract.py --network` a subnet and a security group that there are. Where it asks is set by the environment (AWS_ENDPOINT_URL, AWS_REGION,
credentials). A check has the name, and means the same, as the one in the Rust modules beside this file.
"""

import argparse
import json
import os
import sys
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

CHECKS = {}
SUBNET, GROUP = (os.environ.get(f"PENSTOCK_CONTRACT_{what}", "") for what in ("SUBNET", "GROUP"))
DIMENSION = "ecs:service:DesiredCount"
NO_QUEUE = ("QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue")


def check(function):
    CHECKS[function.__name__] = function
    return function


class Failure(Exception):
    """What was not as promised."""


class World:
    """An AWS as one check sees it; what was made is removed at its end, the newest first."""

    def __init__(self, account):
        self.account = account
        self.session = boto3.session.Session(region_name=os.environ.get("AWS_REGION"))
        self.region = self.session.region_name
        self.made = []

    def client(self, service):
        config = Config(connect_timeout=3, read_timeout=40, retries={"total_max_attempts": 2, "mode": "standard"})
        return self.session.client(service, config=config)

    def later(self, call, **arguments):
        self.made.append((call, arguments))

    def clear(self):
        for call, arguments in reversed(self.made):
            try:
                call(**arguments)
            except ClientError:
                pass  # It is gone already, or the check that failed says why.


def equal(what, seen, promised):
    if seen != promised:
        raise Failure(f"{what} is {seen!r} and should be {promised!r}")


def holds(what, is_so):
    if not is_so:
        raise Failure(f"it does not hold that {what}")


def refused(what, codes, words, call, **arguments):
    try:
        answer = call(**arguments)
    except ClientError as error:
        fault = error.response["Error"]
        if fault.get("Code") in codes and words in fault.get("Message", ""):
            return
        raise Failure(f"{what} was refused with {fault}; promised is one of {codes} with {words!r}") from error
    raise Failure(f"{what} was not refused: {answer}")


def name(stem):
    return f"penstock-contract-{stem}-{uuid.uuid4().hex[:12]}"


# ECS: awsJson 1.1


def registered(world, family, **more):
    container = {"name": "bridge", "image": "penstock-bridge:1", "memory": 512, **more.pop("container", {})}
    answer = world.client("ecs").register_task_definition(
        family=family, cpu="256", memory="512", networkMode="awsvpc", requiresCompatibilities=["FARGATE"],
        containerDefinitions=[container], **more,
    )
    arn = answer["taskDefinition"]["taskDefinitionArn"]
    world.later(world.client("ecs").deregister_task_definition, taskDefinition=arn)
    return answer["taskDefinition"]


class Home:
    """A cluster and a definition that its services can run."""

    def __init__(self, world):
        self.world, self.ecs, self.cluster = world, world.client("ecs"), name("cluster")
        self.ecs.create_cluster(clusterName=self.cluster)
        world.later(self.ecs.delete_cluster, cluster=self.cluster)
        self.definition = registered(world, name("family"))["taskDefinitionArn"]

    def create(self, service, **more):
        self.world.later(self.ecs.delete_service, cluster=self.cluster, service=service, force=True)
        groups = {"securityGroups": [GROUP]} if GROUP else {}
        network = {"awsvpcConfiguration": {"subnets": [SUBNET], "assignPublicIp": "DISABLED", **groups}}
        wanted = {"desiredCount": 0, "launchType": "FARGATE", "networkConfiguration": network, **more}
        return self.ecs.create_service(cluster=self.cluster, serviceName=service, taskDefinition=self.definition, **wanted)

    def created(self):
        service = name("service")
        self.create(service)
        return service

    def described(self, service):
        return self.ecs.describe_services(cluster=self.cluster, services=[service], include=["TAGS"])["services"][0]


@check
def definition_is_described_as_registered(world):
    container = {
        "essential": True,
        "readonlyRootFilesystem": True,
        "linuxParameters": {"initProcessEnabled": True},
        "environment": [{"name": "PENSTOCK_CONNECTOR", "value": '{"a": 1}'}],
        "secrets": [{"name": "PASSWORD", "valueFrom": "arn:aws:secretsmanager:eu-west-1:111122223333:secret:kafka-AbCdEf:password::"}],
        "dockerLabels": {"penstock.connector": "orders"},
        "logConfiguration": {"logDriver": "awslogs", "options": {"awslogs-group": "/penstock", "awslogs-region": "eu-west-1", "awslogs-stream-prefix": "orders"}},
        "stopTimeout": 90,
        "healthCheck": {"command": ["CMD", "penstock-bridge", "health"], "interval": 10, "timeout": 4, "retries": 2, "startPeriod": 20},
    }
    role = f"arn:aws:iam::{world.account}:role/penstock-contract"
    platform = {"operatingSystemFamily": "LINUX", "cpuArchitecture": "ARM64"}
    tags = [{"key": "penstock:uid", "value": "u-1"}]
    made = registered(world, name("family"), container=container, taskRoleArn=role, executionRoleArn=role, runtimePlatform=platform, tags=tags)
    answer = world.client("ecs").describe_task_definition(taskDefinition=made["taskDefinitionArn"], include=["TAGS"])
    equal("the tags", answer.get("tags"), tags)
    seen = answer["taskDefinition"]
    for member, wanted in {"cpu": "256", "memory": "512", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "taskRoleArn": role, "executionRoleArn": role, "runtimePlatform": platform, "status": "ACTIVE", "revision": 1}.items():
        equal(member, seen.get(member), wanted)
    kept = seen["containerDefinitions"][0]
    if not kept.get("logConfiguration", {}).get("secretOptions", True):
        del kept["logConfiguration"]["secretOptions"]  # AWS shows an empty list of them.
    for member, wanted in container.items():
        equal(member, kept.get(member), wanted)


@check
def each_registration_is_the_next_revision(world):
    family = name("family")
    equal("the revisions", [registered(world, family)["revision"] for _ in range(3)], [1, 2, 3])
    latest = world.client("ecs").describe_task_definition(taskDefinition=family)["taskDefinition"]
    equal("the revision that a family's name stands for", latest["revision"], 3)


@check
def service_is_described_as_created(world):
    home, service = Home(world), name("service")
    rollout = {"deploymentCircuitBreaker": {"enable": True, "rollback": True}, "minimumHealthyPercent": 100, "maximumPercent": 150}
    tags = [{"key": "penstock:uid", "value": "u-1"}]
    home.create(service, deploymentConfiguration=rollout, tags=tags, enableECSManagedTags=True, propagateTags="SERVICE", schedulingStrategy="REPLICA", availabilityZoneRebalancing="DISABLED")
    seen = home.described(service)
    for member, wanted in {"status": "ACTIVE", "desiredCount": 0, "runningCount": 0, "taskDefinition": home.definition, "launchType": "FARGATE", "tags": tags, "enableECSManagedTags": True, "propagateTags": "SERVICE", "availabilityZoneRebalancing": "DISABLED"}.items():
        equal(member, seen.get(member), wanted)
    kept = seen.get("deploymentConfiguration", {})
    equal("the rollout", {member: kept.get(member, {}) for member in ("minimumHealthyPercent", "maximumPercent")}, {"minimumHealthyPercent": 100, "maximumPercent": 150})
    breaker = kept.get("deploymentCircuitBreaker", {})
    equal("the circuit breaker", (breaker.get("enable"), breaker.get("rollback")), (True, True))


@check
def service_is_created_once_for_a_token(world):
    home, service, token = Home(world), name("service"), uuid.uuid4().hex
    made = [home.create(service, clientToken=token)["service"] for _ in range(2)]
    equal("the second answer", (made[1]["serviceArn"], made[1]["createdAt"]), (made[0]["serviceArn"], made[0]["createdAt"]))


@check
def unknown_service_is_reported_missing(world):
    home = Home(world)
    answer = home.ecs.describe_services(cluster=home.cluster, services=["nobody"])
    equal("services and reasons", (answer["services"], [one["reason"] for one in answer["failures"]]), ([], ["MISSING"]))


@check
def inactive_service_is_not_updated(world):
    home = Home(world)
    service = home.created()
    home.ecs.delete_service(cluster=home.cluster, service=service)
    refused("an inactive service", ["ServiceNotActiveException"], "", home.ecs.update_service, cluster=home.cluster, service=service, desiredCount=0)


@check
def services_are_listed_in_pages(world):
    home = Home(world)
    for _ in range(3):
        home.created()
    pages = home.ecs.get_paginator("list_services").paginate(cluster=home.cluster, PaginationConfig={"PageSize": 2})
    equal("the pages' lengths", [len(page["serviceArns"]) for page in pages], [2, 1])


DISTINCT = {"type": "distinctInstance"}
PACKED = {"type": "binpack", "field": "memory"}


def placement(seen):
    """Placement as it is meant: ECS shows some fields in capitals, which its documentation does not promise."""
    strategies = [{"type": one["type"], "field": one.get("field", "").lower()} for one in seen["placementStrategy"]]
    return seen["placementConstraints"], strategies


@check
def placement_is_described_as_given(world):
    home, service = Home(world), name("service")
    zones = {"type": "spread", "field": "attribute:ecs.availability-zone"}
    home.create(service, launchType="EC2", placementConstraints=[DISTINCT], placementStrategy=[zones, PACKED])
    equal("the placement", placement(home.described(service)), ([DISTINCT], [zones, PACKED]))


@check
def placement_is_changed_without_a_deployment(world):
    home, service = Home(world), name("service")
    home.create(service, launchType="EC2", placementConstraints=[DISTINCT], placementStrategy=[PACKED])
    before = home.described(service)
    home.ecs.update_service(cluster=home.cluster, service=service, placementStrategy=[{"type": "random"}])
    after = home.described(service)
    equal("the placement", placement(after), ([DISTINCT], [{"type": "random", "field": ""}]))
    equal("the deployments", [one["id"] for one in after["deployments"]], [one["id"] for one in before["deployments"]])


@check
def fargate_refuses_placement_constraints(world):
    home = Home(world)
    refused("a constraint on Fargate", ["InvalidParameterException"], "not supported with FARGATE", home.create, service=name("service"), placementConstraints=[DISTINCT])


@check
def cluster_is_given_its_providers(world):
    home = Home(world)
    home.ecs.put_cluster_capacity_providers(cluster=home.cluster, capacityProviders=["FARGATE_SPOT"], defaultCapacityProviderStrategy=[])
    equal("its providers", home.ecs.describe_clusters(clusters=[home.cluster])["clusters"][0]["capacityProviders"], ["FARGATE_SPOT"])


@check
def strategy_is_changed_only_by_a_forced_deployment(world):
    home = Home(world)
    home.ecs.put_cluster_capacity_providers(cluster=home.cluster, capacityProviders=["FARGATE", "FARGATE_SPOT"], defaultCapacityProviderStrategy=[])
    service = home.created()
    before = home.described(service)
    strategy = [{"capacityProvider": "FARGATE", "base": 1, "weight": 0}, {"capacityProvider": "FARGATE_SPOT", "base": 0, "weight": 3}]
    update = {"cluster": home.cluster, "service": service, "capacityProviderStrategy": strategy}
    refused("a strategy without a forced deployment", ["InvalidParameterException"], "must force a new deployment", home.ecs.update_service, **update)
    home.ecs.update_service(**update, forceNewDeployment=True)
    after = home.described(service)
    equal("the strategy and the launch type", (after["capacityProviderStrategy"], after.get("launchType")), (strategy, None))
    holds("the deployment is another one", after["deployments"][0]["id"] != before["deployments"][0]["id"])


@check
def provider_is_described_as_created(world):
    ecs, provider = world.client("ecs"), name("provider")
    group = f"arn:aws:autoscaling:{world.region}:{world.account}:autoScalingGroup:1:autoScalingGroupName/{provider}"
    ecs.create_capacity_provider(name=provider, autoScalingGroupProvider={"autoScalingGroupArn": group, "managedScaling": {"status": "DISABLED"}})
    world.later(ecs.delete_capacity_provider, capacityProvider=provider)
    answer = ecs.describe_capacity_providers(capacityProviders=[provider, "nobody"])
    seen = answer["capacityProviders"][0]
    equal("the provider", (seen["name"], seen["status"], seen["capacityProviderArn"]), (provider, "ACTIVE", f"arn:aws:ecs:{world.region}:{world.account}:capacity-provider/{provider}"))
    equal("its group", (seen["autoScalingGroupProvider"]["autoScalingGroupArn"], seen["autoScalingGroupProvider"]["managedScaling"]["status"]), (group, "DISABLED"))
    equal("what is told of nobody", [one["reason"] for one in answer["failures"]], ["MISSING"])


@check
def instance_is_described_as_registered(world):
    home = Home(world)
    identity = {"instanceId": "i-0a1b2c3d", "instanceType": "m5.large", "availabilityZone": f"{world.region}a"}
    resources = [{"name": "CPU", "type": "INTEGER", "integerValue": 2048}, {"name": "MEMORY", "type": "INTEGER", "integerValue": 7680}]
    made = home.ecs.register_container_instance(cluster=home.cluster, instanceIdentityDocument=json.dumps(identity), totalResources=resources, attributes=[{"name": "stack", "value": "prod"}])
    arn = made["containerInstance"]["containerInstanceArn"]
    world.later(home.ecs.deregister_container_instance, cluster=home.cluster, containerInstance=arn)
    seen = home.ecs.describe_container_instances(cluster=home.cluster, containerInstances=[arn])["containerInstances"][0]
    equal("the instance", (seen["status"], seen["ec2InstanceId"]), ("ACTIVE", "i-0a1b2c3d"))
    attributes = {one["name"]: one.get("value") for one in seen["attributes"]}
    equal("the attributes", [attributes.get(one) for one in ("ecs.instance-type", "ecs.availability-zone", "stack")], ["m5.large", f"{world.region}a", "prod"])
    for which in ("registeredResources", "remainingResources"):
        equal(which, [one["integerValue"] for one in seen[which] if one["name"] in ("CPU", "MEMORY")], [2048, 7680])


# Application Auto Scaling: awsJson 1.1


class Scaled:
    """A registered service."""

    def __init__(self, world, least=0, most=7):
        self.world, self.home, self.scaling = world, Home(world), world.client("application-autoscaling")
        self.service = self.home.created()
        self.who = {"ServiceNamespace": "ecs", "ResourceId": f"service/{self.home.cluster}/{self.service}", "ScalableDimension": DIMENSION}
        world.later(self.scaling.deregister_scalable_target, **self.who)
        self.scaling.register_scalable_target(**self.who, MinCapacity=least, MaxCapacity=most)

    def put(self, policy, tracking):
        return self.scaling.put_scaling_policy(**self.who, PolicyName=policy, PolicyType="TargetTrackingScaling", TargetTrackingScalingPolicyConfiguration=tracking)

    def policies(self):
        return self.scaling.describe_scaling_policies(**self.who)["ScalingPolicies"]


def math_tracking():
    def metric(namespace, metric_name, dimensions, stat):
        dimensions = [{"Name": key, "Value": value} for key, value in dimensions.items()]
        return {"Metric": {"Namespace": namespace, "MetricName": metric_name, "Dimensions": dimensions}, "Stat": stat}

    visible = metric("AWS/SQS", "ApproximateNumberOfMessagesVisible", {"QueueName": "orders"}, "Sum")
    running = metric("ECS/ContainerInsights", "RunningTaskCount", {"ClusterName": "c", "ServiceName": "s"}, "Average")
    queries = [
        {"Id": "m1", "Label": "visible", "MetricStat": visible, "ReturnData": False},
        {"Id": "m2", "Label": "running", "MetricStat": running, "ReturnData": False},
        {"Id": "e1", "Label": "backlog", "Expression": "m1 / m2", "ReturnData": True},
    ]
    return {"TargetValue": 100.0, "ScaleOutCooldown": 60, "ScaleInCooldown": 300, "DisableScaleIn": False, "CustomizedMetricSpecification": {"Metrics": queries}}


@check
def target_is_described_as_registered(world):
    scaled = Scaled(world)
    targets = scaled.scaling.describe_scalable_targets(ServiceNamespace="ecs", ResourceIds=[scaled.who["ResourceId"]])["ScalableTargets"]
    equal("the number of targets", len(targets), 1)
    target = targets[0]
    equal("the range", (target["MinCapacity"], target["MaxCapacity"]), (0, 7))
    equal("what is suspended", target.get("SuspendedState"), {"DynamicScalingInSuspended": False, "DynamicScalingOutSuspended": False, "ScheduledScalingSuspended": False})
    holds("it has an ARN", target.get("ScalableTargetARN"))
    holds("it has a role", target["RoleARN"].endswith("AWSServiceRoleForApplicationAutoScaling_ECSService"))


@check
def minimum_above_the_maximum_is_refused(world):
    scaled = Scaled(world)
    refused("min 5 and max 2", ["ValidationException"], "", scaled.scaling.register_scalable_target, **scaled.who, MinCapacity=5, MaxCapacity=2)


@check
def math_policy_is_described_as_put(world):
    scaled = Scaled(world)
    arn = scaled.put("policy", math_tracking())["PolicyARN"]
    policies = scaled.policies()
    equal("the ARNs", [policy["PolicyARN"] for policy in policies], [arn])
    equal("the configuration", policies[0]["TargetTrackingScalingPolicyConfiguration"], math_tracking())


@check
def policy_needs_a_target(world):
    who = {"ServiceNamespace": "ecs", "ResourceId": f"service/{name('nobody')}/nobody", "ScalableDimension": DIMENSION}
    refused("a policy without a target", ["ObjectNotFoundException"], "", world.client("application-autoscaling").put_scaling_policy, **who, PolicyName="p", PolicyType="TargetTrackingScaling", TargetTrackingScalingPolicyConfiguration=math_tracking())


@check
def deregistering_takes_the_policies_along(world):
    scaled = Scaled(world)
    scaled.put("policy", math_tracking())
    scaled.scaling.deregister_scalable_target(**scaled.who)
    equal("the policies", scaled.policies(), [])


# CloudWatch: what botocore speaks to it (rpc-v2-cbor, or the query protocol where it is older)


def put_alarm(world, alarm, **more):
    cloudwatch = world.client("cloudwatch")
    world.later(cloudwatch.delete_alarms, AlarmNames=[alarm])
    settings = {"EvaluationPeriods": 3, "DatapointsToAlarm": 2, "Threshold": 5.0, "ComparisonOperator": "GreaterThanThreshold", "TreatMissingData": "ignore"}
    single = {"Namespace": "Penstock/Contract", "MetricName": "Depth", "Statistic": "Maximum", "Period": 60}
    cloudwatch.put_metric_alarm(AlarmName=alarm, **settings, **({} if "Metrics" in more else single), **more)


def described_alarm(world, alarm):
    return world.client("cloudwatch").describe_alarms(AlarmNames=[alarm])["MetricAlarms"][0]


@check
def math_alarm_is_described_as_put(world):
    def metric(stat):
        dimensions = [{"Name": "ClusterName", "Value": "c"}, {"Name": "ServiceName", "Value": "s"}]
        return {"Metric": {"Namespace": "AWS/ECS", "MetricName": "CPUUtilization", "Dimensions": dimensions}, "Period": 60, "Stat": stat}

    queries = [
        {"Id": "m1", "Label": "CPU", "MetricStat": metric("Average"), "ReturnData": False},
        {"Id": "m2", "Label": "tasks", "MetricStat": metric("SampleCount"), "ReturnData": False},
        {"Id": "e1", "Label": "hot", "Expression": "IF(m1 > 80 AND m2 >= 4, 1, 0)", "ReturnData": True},
    ]
    alarm, topic = name("alarm"), f"arn:aws:sns:{world.region}:{world.account}:alarms"
    put_alarm(world, alarm, Metrics=queries, AlarmDescription="hot", AlarmActions=[topic], OKActions=[topic])
    seen = described_alarm(world, alarm)
    for query in seen["Metrics"]:
        query.pop("AccountId", None)  # AWS names the account in each query of a metric.
    equal("the queries", seen["Metrics"], queries)
    for member, wanted in {"AlarmDescription": "hot", "AlarmActions": [topic], "OKActions": [topic], "Threshold": 5.0, "EvaluationPeriods": 3, "DatapointsToAlarm": 2, "TreatMissingData": "ignore", "ActionsEnabled": True}.items():
        equal(member, seen.get(member), wanted)


@check
def new_alarm_has_insufficient_data(world):
    alarm = name("alarm")
    put_alarm(world, alarm)
    seen = described_alarm(world, alarm)
    equal("the state", seen["StateValue"], "INSUFFICIENT_DATA")
    holds("it says since when", seen["StateUpdatedTimestamp"].timestamp() > 0)


@check
def update_keeps_the_state_and_overwrites_the_rest(world):
    alarm = name("alarm")
    put_alarm(world, alarm, AlarmDescription="first")
    world.client("cloudwatch").set_alarm_state(AlarmName=alarm, StateValue="ALARM", StateReason="the contract")
    put_alarm(world, alarm)
    seen = described_alarm(world, alarm)
    equal("state, reason, description", (seen["StateValue"], seen["StateReason"], seen.get("AlarmDescription")), ("ALARM", "the contract", None))


@check
def unknown_alarm_has_no_state_to_set(world):
    refused("an unknown alarm", ["ResourceNotFound"], "", world.client("cloudwatch").set_alarm_state, AlarmName=name("nobody"), StateValue="OK", StateReason="-")


@check
def alarms_are_described_in_pages(world):
    stem = name("alarm")
    for end in range(3):
        put_alarm(world, f"{stem}-{end}")
    pages = world.client("cloudwatch").get_paginator("describe_alarms").paginate(AlarmNamePrefix=stem, PaginationConfig={"PageSize": 2})
    equal("the pages' lengths", [len(page["MetricAlarms"]) for page in pages], [2, 1])


@check
def math_is_done_over_metrics(world):
    cloudwatch, metric = world.client("cloudwatch"), name("metric")
    minute = (int(time.time()) // 60 - 2) * 60
    data = [{"MetricName": f"{metric}-{end}", "Timestamp": minute + 1, "Value": value} for end, value in (("m1", 90.0), ("m2", 3.0))]
    cloudwatch.put_metric_data(Namespace="Penstock/Contract", MetricData=data)
    queries = [
        {"Id": end, "ReturnData": False, "MetricStat": {"Metric": {"Namespace": "Penstock/Contract", "MetricName": f"{metric}-{end}"}, "Period": 60, "Stat": "Sum"}}
        for end in ("m1", "m2")
    ]
    queries.append({"Id": "e1", "Expression": "m1 / m2"})
    results = cloudwatch.get_metric_data(MetricDataQueries=queries, StartTime=minute, EndTime=minute + 60)["MetricDataResults"]
    equal("the results", [(one["Id"], one["Values"]) for one in results], [("e1", [30.0])])


# SQS: awsJson 1.0, with the error codes of the query protocol beside it


def queue(world, **attributes):
    sqs, suffix = world.client("sqs"), ".fifo" if attributes.get("FifoQueue") else ""
    url = sqs.create_queue(QueueName=name("queue") + suffix, Attributes=attributes)["QueueUrl"]
    world.later(sqs.delete_queue, QueueUrl=url)
    return sqs, url


def received(sqs, url, **more):
    return sqs.receive_message(QueueUrl=url, **{"WaitTimeSeconds": 5, "MessageSystemAttributeNames": ["All"], **more}).get("Messages", [])


@check
def message_comes_as_it_was_sent(world):
    sqs, url = queue(world)
    body, attributes = "grüße <&> \U0001f980\n", {"trace": {"DataType": "String", "StringValue": "t-1"}}
    sent = sqs.send_message(QueueUrl=url, MessageBody=body, MessageAttributes=attributes)
    messages = received(sqs, url, MessageAttributeNames=["All"])
    equal("the number of messages", len(messages), 1)
    equal("body and id", (messages[0]["Body"], messages[0]["MessageId"]), (body, sent["MessageId"]))
    equal("the attributes", messages[0]["MessageAttributes"], attributes)
    equal("the attributes' digest", messages[0]["MD5OfMessageAttributes"], sent["MD5OfMessageAttributes"])
    holds("it says when it was sent", len(messages[0]["Attributes"]["SentTimestamp"]) == 13)


@check
def visibility_of_zero_shows_the_message_at_once(world):
    sqs, url = queue(world, VisibilityTimeout="600")
    sqs.send_message(QueueUrl=url, MessageBody="hello")
    first = received(sqs, url)[0]
    sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=first["ReceiptHandle"], VisibilityTimeout=0)
    equal("what comes again", [one["MessageId"] for one in received(sqs, url)], [first["MessageId"]])


@check
def batch_tells_what_became_of_each_entry(world):
    sqs, url = queue(world)
    sqs.send_message(QueueUrl=url, MessageBody="hello")
    handle = received(sqs, url)[0]["ReceiptHandle"]
    entries = [{"Id": "good", "ReceiptHandle": handle}, {"Id": "bad", "ReceiptHandle": "nonsense"}]
    answer = sqs.delete_message_batch(QueueUrl=url, Entries=entries)
    equal("what went well", [one["Id"] for one in answer.get("Successful", [])], ["good"])
    failed = [(one["Id"], one["Code"], one["SenderFault"]) for one in answer.get("Failed", [])]
    equal("what did not", failed, [("bad", "ReceiptHandleIsInvalid", True)])


@check
def unknown_queue_is_named_as_such(world):
    sqs = world.client("sqs")
    refused("the URL of an unknown queue", NO_QUEUE, "", sqs.get_queue_url, QueueName=name("nobody"))
    try:
        sqs.get_queue_url(QueueName=name("nobody"))
    except sqs.exceptions.QueueDoesNotExist:
        return
    raise Failure("the exception has not the name that boto3 gives it")


@check
def attributes_are_read_as_set(world):
    sqs, url = queue(world, VisibilityTimeout="45")
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"ReceiveMessageWaitTimeSeconds": "7"})
    seen = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    wanted = {"VisibilityTimeout": "45", "ReceiveMessageWaitTimeSeconds": "7", "DelaySeconds": "0", "MessageRetentionPeriod": "345600"}
    equal("the attributes", {member: seen.get(member) for member in wanted}, wanted)
    equal("the ARN", seen["QueueArn"], f"arn:aws:sqs:{world.region}:{world.account}:{url.rsplit('/', 1)[1]}")


@check
def group_is_closed_while_one_of_it_is_in_flight(world):
    sqs, url = queue(world, FifoQueue="true", VisibilityTimeout="600")

    def send(group, body):
        sqs.send_message(QueueUrl=url, MessageBody=body, MessageGroupId=group, MessageDeduplicationId=body)

    send("g", "g1")
    equal("the first", [one["Body"] for one in received(sqs, url)], ["g1"])
    send("g", "g2")
    send("h", "h1")
    equal("what comes of another group", [one["Body"] for one in received(sqs, url)], ["h1"])
    equal("what comes while both are closed", received(sqs, url, WaitTimeSeconds=1), [])


@check
def repeated_deduplication_id_is_not_sent_again(world):
    sqs, url = queue(world, FifoQueue="true", VisibilityTimeout="600")
    for body in ("first", "second"):
        sqs.send_message(QueueUrl=url, MessageBody=body, MessageGroupId="g", MessageDeduplicationId="d")
    equal("what is received", [one["Body"] for one in received(sqs, url, MaxNumberOfMessages=10)], ["first"])
    equal("what is received then", received(sqs, url, WaitTimeSeconds=1), [])


# SNS and STS: the query protocol and XML


def subscribed(world, raw):
    sns = world.client("sns")
    topic = sns.create_topic(Name=name("topic"))["TopicArn"]
    world.later(sns.delete_topic, TopicArn=topic)
    sqs, url = queue(world)
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    statement = {"Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage", "Resource": arn, "Condition": {"ArnEquals": {"aws:SourceArn": topic}}}
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps({"Version": "2012-10-17", "Statement": [statement]})})
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": raw})
    return sns, topic, sqs, url


@check
def envelope_tells_topic_and_subject(world):
    sns, topic, sqs, url = subscribed(world, "false")
    message = 'the "message" <&>'
    sent = sns.publish(TopicArn=topic, Subject="a subject", Message=message, MessageAttributes={"trace": {"DataType": "String", "StringValue": "t-1"}})
    envelope = json.loads(received(sqs, url)[0]["Body"])
    for member, wanted in {"Type": "Notification", "MessageId": sent["MessageId"], "TopicArn": topic, "Subject": "a subject", "Message": message}.items():
        equal(member, envelope.get(member), wanted)
    equal("the attribute", envelope.get("MessageAttributes", {}).get("trace", {}).get("Value"), "t-1")


@check
def raw_delivery_is_the_message_alone(world):
    sns, topic, sqs, url = subscribed(world, "true")
    sns.publish(TopicArn=topic, Subject="s", Message="bare")
    equal("the bodies", [one["Body"] for one in received(sqs, url)], ["bare"])


@check
def unknown_topic_is_refused(world):
    arn = f"arn:aws:sns:{world.region}:{world.account}:{name('nobody')}"
    refused("an unknown topic", ["NotFound", "NotFoundException"], "", world.client("sns").publish, TopicArn=arn, Message="x")


@check
def caller_has_an_account(world):
    identity = world.client("sts").get_caller_identity()
    equal("the account", identity["Account"], world.account)
    holds("the ARN is in the account", f"::{world.account}:" in identity["Arn"])


@check
def assumed_role_acts_in_its_account(world):
    role = "arn:aws:iam::444455556666:role/Reader"
    given = world.client("sts").assume_role(RoleArn=role, RoleSessionName="contract")["Credentials"]
    other = World(world.account)
    other.session = boto3.session.Session(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"], region_name=world.region)
    identity = other.client("sts").get_caller_identity()
    equal("who that is", (identity["Account"], identity["Arn"]), ("444455556666", "arn:aws:sts::444455556666:assumed-role/Reader/contract"))


# Secrets Manager: awsJson 1.1


@check
def secret_is_read_by_name_and_by_arn(world):
    secrets, secret = world.client("secretsmanager"), name("secret")
    arn = secrets.create_secret(Name=secret, SecretString='{"user": "alice"}')["ARN"]
    world.later(secrets.delete_secret, SecretId=secret, ForceDeleteWithoutRecovery=True)
    for which in (secret, arn):
        value = secrets.get_secret_value(SecretId=which)
        equal("the value", (value["SecretString"], value["Name"], value["ARN"]), ('{"user": "alice"}', secret, arn))
        equal("the stages", value["VersionStages"], ["AWSCURRENT"])


@check
def binary_secret_is_read_as_stored(world):
    secrets, secret = world.client("secretsmanager"), name("secret")
    secrets.create_secret(Name=secret, SecretBinary=b"\x00\x9f\x92\x96")
    world.later(secrets.delete_secret, SecretId=secret, ForceDeleteWithoutRecovery=True)
    equal("the bytes", secrets.get_secret_value(SecretId=secret)["SecretBinary"], b"\x00\x9f\x92\x96")


@check
def unknown_secret_is_refused(world):
    refused("an unknown secret", ["ResourceNotFoundException"], "Secrets Manager can't find the specified secret", world.client("secretsmanager").get_secret_value, SecretId=name("nobody"))


def ask(which, account):
    """Returns the line about one check."""
    world = World(account)
    try:
        CHECKS[which](world)
    except (Failure, ClientError, BotoCoreError, LookupError, TypeError) as why:
        # An answer that lacks what the check looks into is as wrong as one that says something else.
        return f"FAIL {which}: {type(why).__name__} {' '.join(str(why).split())}"
    finally:
        world.clear()
    return f"ok {which}"


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--list", action="store_true")
    arguments.add_argument("--network", action="store_true")
    arguments.add_argument("--account")
    arguments.add_argument("names", nargs="*")
    wanted = arguments.parse_args()
    if wanted.list:
        print("\n".join(CHECKS))
        return
    if wanted.network:
        ec2 = World("").client("ec2")
        print(ec2.describe_subnets()["Subnets"][0]["SubnetId"], ec2.describe_security_groups()["SecurityGroups"][0]["GroupId"])
        return
    account = wanted.account or boto3.client("sts").get_caller_identity()["Account"]
    names = [which for which in wanted.names if which in CHECKS]
    with ThreadPoolExecutor(max_workers=4) as pool:
        for line in pool.map(lambda which: ask(which, account), names):
            print(line)


if __name__ == "__main__":
    sys.exit(main())
