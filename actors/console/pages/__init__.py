"""One module a page: what it asks of the operator, and what its template is given."""
