//! The local Fargate agent: one real process per task that the ECS model wants.
