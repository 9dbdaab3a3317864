"""The reference pages in docs/reference: settings, commands, schemas, each written from the code that has them."""
