"""The backend that writes machine code: kernels through LLVM.

Each module imports only those before it: `text` (LLVM's language) and `lanes` (vector code); `kernel` (what a family is
asked, and the record of what it wrote), then the families: `loop`, `contract`, `index`, `conv`, `pooling`, `sorting`,
`sparse`, `recurrent`, `attention`; `threads` (the pool that runs chunks), `pycall` (the call from Python), `repeat` (a
graph called many times, to measure it); `entry` (the function that runs a whole graph), `lower` (all code of a graph),
`listings` (its text, kernel by kernel), `timer` (a build that takes the time of every chunk) and `backend`, which joins
them; `ahead` (object files for C).
"""
