"""What passes and backends agree on about kernels.

Read `family` (the record of a family of kernels; `ir/families/` has them all), `layout` (where the elements of a view
lie), `result_order` (in what order results lie), `form` (of graphs that code is generated for), `index_ranges` (checks
in front of kernels), `costs` (what passes ask about the machine) and `liveness` (what they ask the schedule)."""
