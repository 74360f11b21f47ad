// How much memory this node still has.
#pragma once

namespace mlff {

// Bytes that this process could still allocate without swapping: what the kernel calls available, or what is left below
// the limit of its control group (batch systems, containers), whichever is less. 0: unknown.
double free_bytes_of_node();

}    // namespace mlff
