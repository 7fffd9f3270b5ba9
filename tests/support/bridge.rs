//! What the bridge's promises are proved with: the real program between an SQS behind a [proxy](crate::sqs_proxy) and a real broker, a sender that
//! writes down what it sent, and a checker that knows nothing of the bridge.

pub mod audit;
pub mod checker;
pub mod queue;
pub mod rig;
pub mod stall;

pub use checker::{Sent, Verdict};
pub use queue::{Letter, Queue};
pub use rig::{Bridge, LATER, Rig, SOON};
