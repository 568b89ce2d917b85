"""The process and the system around the language: `locks` (and forks), `processes` (that help another one), `collector`
(of garbage, paused), `files` (that users ask for), `private_files` (that nobody else can have written)."""
