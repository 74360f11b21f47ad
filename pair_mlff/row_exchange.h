// Rows between owners and ghosts through LAMMPS's own pair communication, brick and tiled, newton on and off.
#pragma once

#include "engine.h"

namespace LAMMPS_NS {

class RowExchange : public mlff::GhostExchange {
 public:
  RowExchange(class LAMMPS *lmp, class Pair *pair) : lmp_(lmp), pair_(pair) {}

  // node_of_atom[nlocal + nghost]: the row of an atom, -1 for atoms that are no nodes; null: row i is atom i.
  void set_nodes(const int *node_of_atom) { node_of_atom_ = node_of_atom; }

  void forward(const mlff::Rows &rows) final;
  void reverse(const mlff::Rows &rows) final;

  // LAMMPS's buffers are of doubles; narrower values are packed tightly into them.
  static int doubles_for(std::size_t bytes_per_row);

  // For the functions of the same names in Pair.
  virtual int pack_forward(int n, const int *atoms, double *buffer);
  virtual void unpack_forward(int n, int first, const double *buffer);
  virtual int pack_reverse(int n, int first, double *buffer);
  virtual void unpack_reverse(int n, const int *atoms, const double *buffer);

  // Exchanges since the start.
  long num_forward() const { return num_forward_; }
  long num_reverse() const { return num_reverse_; }

 protected:
  virtual void clear_ghosts();

  LAMMPS *lmp_;
  mlff::Rows rows_;

 private:
  char *row(int atom) const;    // null for atoms that are no nodes

  Pair *pair_;
  const int *node_of_atom_ = nullptr;
  long num_forward_ = 0, num_reverse_ = 0;
};

}    // namespace LAMMPS_NS
