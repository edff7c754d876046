"""Libraries of Gantry: `common`, which every service stands on, and `cli`, the administrator's command line."""
