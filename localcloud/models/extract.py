#!/usr/bin/env python3
"""Trims AWS's API models to what localcloud answers: `python3 extract.py`, with botocore installed from PyPI.

botocore carries AWS's own API models (botocore/data/<service>/<version>/service-2.json, Apache-2.0). Kept are the operations
below with the shapes they reach: members, constraints, names on the wire and errors. Documentation is left out.
"""

import gzip
import json
import pathlib
import re

import botocore

SERVICES = {
    "ecs": """CreateCluster DescribeClusters DeleteCluster UpdateClusterSettings RegisterTaskDefinition
        DescribeTaskDefinition ListTaskDefinitions ListTaskDefinitionFamilies DeregisterTaskDefinition
        DeleteTaskDefinitions CreateService UpdateService DeleteService DescribeServices ListServices
        DescribeServiceDeployments ListServiceDeployments DescribeServiceRevisions StopServiceDeployment ListTasks
        DescribeTasks StopTask TagResource UntagResource ListTagsForResource UpdateTaskProtection GetTaskProtection
        PutClusterCapacityProviders CreateCapacityProvider DescribeCapacityProviders DeleteCapacityProvider
        RegisterContainerInstance DeregisterContainerInstance DescribeContainerInstances ListContainerInstances""",
    "application-autoscaling": """RegisterScalableTarget DeregisterScalableTarget DescribeScalableTargets
        PutScalingPolicy DeleteScalingPolicy DescribeScalingPolicies DescribeScalingActivities TagResource
        UntagResource ListTagsForResource""",
    "cloudwatch": """PutMetricData GetMetricData GetMetricStatistics ListMetrics PutMetricAlarm DescribeAlarms
        DescribeAlarmHistory DeleteAlarms SetAlarmState EnableAlarmActions DisableAlarmActions TagResource
        UntagResource ListTagsForResource""",
    "sqs": """CreateQueue DeleteQueue GetQueueUrl GetQueueAttributes SetQueueAttributes ListQueues SendMessage
        SendMessageBatch ReceiveMessage DeleteMessage DeleteMessageBatch ChangeMessageVisibility
        ChangeMessageVisibilityBatch PurgeQueue TagQueue ListQueueTags UntagQueue ListDeadLetterSourceQueues""",
    "sns": """CreateTopic DeleteTopic ListTopics GetTopicAttributes SetTopicAttributes Subscribe Unsubscribe
        ListSubscriptionsByTopic ListSubscriptions Publish TagResource ListTagsForResource""",
    "sts": "GetCallerIdentity AssumeRole",
    "secretsmanager": "CreateSecret GetSecretValue PutSecretValue DeleteSecret DescribeSecret",
}

# Input members that localcloud has no behaviour for: without them here they are refused instead of ignored.
LEFT_OUT = {
    "ecs": {
        "CreateCapacityProviderRequest": ["cluster", "managedInstancesProvider"],
        "DescribeCapacityProvidersRequest": ["cluster"],
        "DeleteCapacityProviderRequest": ["cluster"],
        "RegisterContainerInstanceRequest": ["containerInstanceArn", "platformDevices"],
    },
    "sns": {
        "PublishInput": ["TargetArn", "PhoneNumber", "MessageStructure"],
        "CreateTopicInput": ["DataProtectionPolicy"],
    },
    "sts": {
        "AssumeRoleRequest": ["PolicyArns", "Policy", "Tags", "TransitiveTagKeys", "SerialNumber", "TokenCode",
                              "SourceIdentity", "ProvidedContexts"],
    },
    "secretsmanager": {
        "CreateSecretRequest": ["KmsKeyId", "AddReplicaRegions", "ForceOverwriteReplicaSecret", "Type"],
        "PutSecretValueRequest": ["RotationToken"],
    },
    "sqs": {
        "MessageAttributeValue": ["StringListValues", "BinaryListValues"],
        "MessageSystemAttributeValue": ["StringListValues", "BinaryListValues"],
    },
}

# The query codes of SQS, which its JSON protocol still sends in x-amzn-query-error; botocore's model no longer has them.
# Source: the awsQueryError traits of AWS's Smithy model of SQS.
SQS_CODES = {
    "BatchEntryIdsNotDistinct": "AWS.SimpleQueueService.BatchEntryIdsNotDistinct",
    "BatchRequestTooLong": "AWS.SimpleQueueService.BatchRequestTooLong",
    "EmptyBatchRequest": "AWS.SimpleQueueService.EmptyBatchRequest",
    "InvalidBatchEntryId": "AWS.SimpleQueueService.InvalidBatchEntryId",
    "MessageNotInflight": "AWS.SimpleQueueService.MessageNotInflight",
    "PurgeQueueInProgress": "AWS.SimpleQueueService.PurgeQueueInProgress",
    "QueueDeletedRecently": "AWS.SimpleQueueService.QueueDeletedRecently",
    "QueueDoesNotExist": "AWS.SimpleQueueService.NonExistentQueue",
    "QueueNameExists": "QueueAlreadyExists",
    "TooManyEntriesInBatchRequest": "AWS.SimpleQueueService.TooManyEntriesInBatchRequest",
    "UnsupportedOperation": "AWS.SimpleQueueService.UnsupportedOperation",
}

KEPT_OF_SHAPE = ["type", "required", "min", "max", "pattern", "enum", "flattened", "timestampFormat", "union", "error",
                 "exception"]
KEPT_OF_MEMBER = ["shape", "locationName", "flattened", "timestampFormat"]
KEPT_OF_METADATA = ["apiVersion", "jsonVersion", "protocols", "serviceId", "targetPrefix", "xmlNamespace",
                    "awsQueryCompatible"]
HERE = pathlib.Path(__file__).parent


def main():
    for service, operations in SERVICES.items():
        version, model = read(service)
        trimmed = trim(service, version, model, operations.split())
        (HERE / f"{service}.json").write_text(print_by_line(trimmed))


def read(service):
    folder = pathlib.Path(botocore.__file__).parent / "data" / service
    newest = sorted(folder.iterdir())[-1]
    with gzip.open(newest / "service-2.json.gz") as file:
        return newest.name, json.load(file)


def trim(service, version, model, operations):
    kept = {name: operation(model["operations"][name]) for name in operations}
    roots = [kept[name][side] for name in operations for side in ("input", "output") if side in kept[name]]
    roots += [error for name in operations for error in kept[name].get("errors", [])]
    shapes = {}
    for root in roots:
        reach(service, model["shapes"], root, shapes)
    if service == "sqs":
        for name, code in SQS_CODES.items():
            if name in shapes:
                shapes[name]["error"] = {"code": code, "httpStatusCode": 400}
    return {
        "source": f"botocore {botocore.__version__}, data/{service}/{version}/service-2.json, Apache-2.0, trimmed",
        "metadata": {key: model["metadata"][key] for key in KEPT_OF_METADATA if key in model["metadata"]},
        "operations": kept,
        "shapes": dict(sorted(shapes.items())),
    }


def operation(full):
    kept = {}
    if "input" in full:
        kept["input"] = full["input"]["shape"]
    if "output" in full:
        kept["output"] = full["output"]["shape"]
        if "resultWrapper" in full["output"]:
            kept["resultWrapper"] = full["output"]["resultWrapper"]
    kept["errors"] = [error["shape"] for error in full.get("errors", [])]
    return kept


def reach(service, shapes, name, reached):
    if name in reached:
        return
    full = shapes[name]
    kept = {key: full[key] for key in KEPT_OF_SHAPE if key in full}
    if "pattern" in kept:
        kept["pattern"] = portable(kept["pattern"])
    reached[name] = kept
    left_out = LEFT_OUT.get(service, {}).get(name, [])
    if "members" in full:
        kept["members"] = {key: member(value) for key, value in full["members"].items() if key not in left_out}
        for value in kept["members"].values():
            reach(service, shapes, value["shape"], reached)
    for side in ("member", "key", "value"):
        if side in full:
            kept[side] = member(full[side])
            reach(service, shapes, kept[side]["shape"], reached)


def member(full):
    return {key: full[key] for key in KEPT_OF_MEMBER if key in full}


def portable(pattern):
    """Writes a pattern of Java's, surrogates and all, in the syntax of the regex crate."""
    pattern = pattern.replace(r"\p{Print}", r"[\x{20}-\x{7E}]")
    pattern = pattern.replace(r"\u10000-\u10FFFF", r"\x{10000}-\x{10FFFF}")
    pattern = pattern.replace(r"\uD800\uDC00-\uDBFF\uDFFF", r"\x{10000}-\x{10FFFF}")
    return re.sub(r"\\u([0-9A-Fa-f]{4})", r"\\x{\1}", pattern)


def print_by_line(model):
    """Prints one operation or shape a line, so that a new version shows as a readable difference."""
    parts = []
    for key, value in model.items():
        if key in ("operations", "shapes"):
            lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(item)}" for name, item in value.items())
            parts.append(f" {json.dumps(key)}: {{\n{lines}\n }}")
        else:
            parts.append(f" {json.dumps(key)}: {json.dumps(value)}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


if __name__ == "__main__":
    main()
