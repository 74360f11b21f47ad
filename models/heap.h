// How the process's heap treats freed memory.
#pragma once

#include <cstddef>

namespace mlff {

// From now on freed memory stays with the process instead of going back to the operating system at once. A network
// frees and allocates the same megabytes in each step; by default glibc returns and fetches them each time, and the
// page faults cost as much as half the step. Process-wide, once; memory in use stays at its peak. Nothing with another
// C library.
void keep_freed_memory();

// Bytes that the heap has taken from the operating system, in use or not; 0 with another C library.
std::size_t heap_bytes();

}    // namespace mlff
