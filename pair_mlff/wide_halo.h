// The communication cutoff of a wide halo: ghosts so far around a rank's box that it can compute their features itself.
#pragma once

namespace LAMMPS_NS {

class WideHalo {
 public:
  explicit WideHalo(class LAMMPS *lmp) : lmp_(lmp) {}
  ~WideHalo() { restore(); }
  WideHalo(const WideHalo &) = delete;
  WideHalo &operator=(const WideHalo &) = delete;

  // Ghosts up to `width` (in LAMMPS's length units, skin included) from the next setup on. Stops with an error where
  // LAMMPS cannot give them. A 'comm_modify cutoff' that comes later would undo it: to be called before each run.
  void widen(double width);

  // As it was before.
  void restore();

 private:
  class LAMMPS *lmp_;
  double width_ = 0.0, before_ = 0.0;
};

}    // namespace LAMMPS_NS
