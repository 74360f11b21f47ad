// What the style says in the log: one block before the run, one after it.
#pragma once

#include "engine.h"
#include "memory_need.h"
#include "self_check.h"
#include "step_times.h"

#include <string>
#include <vector>

namespace mlff {

class ModelFile;

// element_of_type[ntypes + 1]: index of the file's element, -1 for NULL. num_centers: of the graph that
// this rank evaluates.
std::string opening_report(const ModelFile &model, const Engine &engine, const std::vector<int> &element_of_type,
                           const std::string &ghosts, const MemoryNeed &memory, int num_centers);

// The line of the check at setup.
std::string check_report(const SelfCheck &check);

// `mean` and `largest` over ranks.
std::string closing_report(const StepTimes &mean, const StepTimes &largest);

// "description\n\n@article{...}\n\n" for LAMMPS's citation reminder: the plugin's own.
std::string own_citation();
std::string model_citation(const ModelFile &model, const std::string &bibtex);

}    // namespace mlff
