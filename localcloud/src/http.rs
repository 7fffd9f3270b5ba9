//! The wire protocols that the SDKs speak, on one port.
