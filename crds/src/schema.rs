//! The JSON Schemas of the documents.
