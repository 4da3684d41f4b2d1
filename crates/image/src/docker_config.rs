//! Docker's `config.json`: decodes content that the caller has read, and asks credential helpers as the caller.
