#include "row_exchange.h"

#include "atom.h"
#include "comm.h"
#include "lammps.h"
#include "pair.h"

#include <cstring>

using namespace LAMMPS_NS;

int RowExchange::doubles_for(std::size_t bytes_per_row)
{
  return static_cast<int>((bytes_per_row + sizeof(double) - 1) / sizeof(double));
}

void RowExchange::forward(const mlff::Rows &rows)
{
  rows_ = rows;
  lmp_->comm->forward_comm(pair_, doubles_for(rows.bytes_per_row()));
  ++num_forward_;
}

void RowExchange::reverse(const mlff::Rows &rows)
{
  rows_ = rows;
  lmp_->comm->reverse_comm(pair_, doubles_for(rows.bytes_per_row()));
  clear_ghosts();    // LAMMPS leaves the sums that travelled in their rows
  ++num_reverse_;
}

void RowExchange::clear_ghosts()
{
  const Atom &atom = *lmp_->atom;
  for (int ghost = atom.nlocal; ghost < atom.nlocal + atom.nghost; ++ghost)
    if (char *r = row(ghost)) std::memset(r, 0, rows_.bytes_per_row());
}

char *RowExchange::row(int atom) const
{
  const int node = node_of_atom_ ? node_of_atom_[atom] : atom;
  return node < 0 ? nullptr : static_cast<char *>(rows_.data) + node * rows_.bytes_per_row();
}

int RowExchange::pack_forward(int n, const int *atoms, double *buffer)
{
  const int doubles = doubles_for(rows_.bytes_per_row());
  for (int i = 0; i < n; ++i, buffer += doubles) {
    if (const char *r = row(atoms[i]))
      std::memcpy(buffer, r, rows_.bytes_per_row());
    else
      std::memset(buffer, 0, rows_.bytes_per_row());
  }
  return n * doubles;
}

void RowExchange::unpack_forward(int n, int first, const double *buffer)
{
  const int doubles = doubles_for(rows_.bytes_per_row());
  for (int i = 0; i < n; ++i, buffer += doubles)
    if (char *r = row(first + i)) std::memcpy(r, buffer, rows_.bytes_per_row());
}

int RowExchange::pack_reverse(int n, int first, double *buffer)
{
  const int doubles = doubles_for(rows_.bytes_per_row());
  for (int i = 0; i < n; ++i, buffer += doubles) {
    if (const char *r = row(first + i))
      std::memcpy(buffer, r, rows_.bytes_per_row());
    else
      std::memset(buffer, 0, rows_.bytes_per_row());
  }
  return n * doubles;
}

template <typename T> static void add_row(char *row, const double *buffer, int width)
{
  auto *sum = reinterpret_cast<T *>(row);
  const auto *values = reinterpret_cast<const T *>(buffer);
  for (int c = 0; c < width; ++c) sum[c] += values[c];
}

void RowExchange::unpack_reverse(int n, const int *atoms, const double *buffer)
{
  const int doubles = doubles_for(rows_.bytes_per_row());
  const auto add = rows_.type == mlff::Rows::Type::FLOAT32 ? add_row<float> : add_row<double>;
  for (int i = 0; i < n; ++i, buffer += doubles)
    if (char *r = row(atoms[i])) add(r, buffer, rows_.width);
}
