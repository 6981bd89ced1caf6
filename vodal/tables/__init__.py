"""Typed streams of Arrow record batches and their writers."""
