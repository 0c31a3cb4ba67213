"""The sections of the page, one module each: `context` returns what its template draws."""
