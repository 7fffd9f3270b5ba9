//! `penstock-localcloud`: the model behind one port, with the Fargate agent beside it.
fn main() {}
