"""The public files: fetched by pooch, resumed, checked, and made into what the other verbs read."""
