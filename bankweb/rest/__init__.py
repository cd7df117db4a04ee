"""What all REST endpoints share: problem documents, strict bodies and queries, cursors, the schema."""
