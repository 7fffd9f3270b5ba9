//! Credentials are asked for once, renewed in time, and kept while they last.
