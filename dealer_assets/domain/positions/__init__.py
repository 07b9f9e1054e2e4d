"""Who holds what: position models, the evidence they read, the posterior and its daily score."""
