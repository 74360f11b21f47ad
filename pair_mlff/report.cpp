#include "report.h"

#include "model_file.h"

#include <cstdarg>
#include <cstdio>

namespace mlff {

namespace {

__attribute__((format(printf, 1, 2))) std::string print(const char *format, ...)
{
  char buffer[512];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(buffer, sizeof(buffer), format, arguments);
  va_end(arguments);
  return buffer;
}

std::string line(const char *label, const std::string &text)
{
  return text.empty() ? "" : print("  %-12s ", label) + text + "\n";
}

std::string network_text(const ModelFile &model)
{
  const auto parameters = static_cast<long long>(model.num_parameters);
  if (model.is_custom())
    return print("a module of kind custom, %lld parameters, an energy depends on atoms up to %d edges away, cutoff %g "
                 "Angstrom",
                 parameters, model.num_interactions, model.cutoff);
  return print("PaiNN, %d channels, %d interactions, %d radial functions, %lld parameters, cutoff %g Angstrom",
               model.num_channels, model.num_interactions, model.num_radial, parameters, model.cutoff);
}

std::string atoms_text(double atoms)
{
  return atoms > 0.0 ? print(", some %.2g atoms fit into what is free", atoms) : "";
}

std::string at_once_text(const MemoryNeed &memory)
{
  if (memory.bytes_per_atom == 0.0) return "";
  std::string text =
      print("%.3g kB an atom besides LAMMPS's own", 1e-3 * memory.bytes_per_atom) + atoms_text(memory.atoms_that_fit);
  if (memory.atoms_that_fit_in_slices > memory.atoms_that_fit)
    text += print(", in slices %.2g", memory.atoms_that_fit_in_slices);
  return text;
}

std::string in_slices_text(const MemoryNeed &memory)
{
  return print("%.3g kB an atom besides LAMMPS's own and what a slice takes", 1e-3 * memory.bytes_per_atom_in_slices) +
      atoms_text(memory.atoms_that_fit_in_slices);
}

}    // namespace

std::string opening_report(const ModelFile &model, const Engine &engine, const std::vector<int> &element_of_type,
                           const std::string &ghosts, const MemoryNeed &memory, int num_centers)
{
  std::string types, errors;
  for (size_t type = 1; type < element_of_type.size(); ++type)
    types += print("%s%zu ", type == 1 ? "" : ", ", type) +
        (element_of_type[type] < 0 ? "NULL" : model.elements[element_of_type[type]]);
  for (const auto &[what, value] : model.errors)
    errors += print("%s%s %.4g", errors.empty() ? "" : ", ", what.c_str(), value);

  std::string text = "pair mlff:\n";
  text += line("student", model.name + (model.date.empty() ? "" : " (" + model.date + ")") + ", " + model.path);
  text += line("network", network_text(model));
  text += line("teacher", model.teacher);
  text += line("errors", errors);
  text += line("types", types);
  text += line("engine", engine.description());
  text += line("ghosts", ghosts);
  const int chunk = engine.most_centers_at_once();
  const bool in_slices = chunk > 0 && chunk < num_centers;
  text += line("memory", in_slices ? in_slices_text(memory) : at_once_text(memory));
  if (in_slices) text += line("chunk", print("slices of at most %d atoms", chunk));
  return text;
}

std::string check_report(const SelfCheck &check)
{
  return line("check", check.last_text());
}

std::string closing_report(const StepTimes &mean, const StepTimes &largest)
{
  if (mean.calls == 0) return "";
  const double total = mean.edges + mean.network + mean.exchange + mean.scatter;
  const auto row = [&](const char *label, double m, double l) {
    return print("  %-12s %12.4g %12.4g %8.1f\n", label, 1e3 * m / mean.calls, 1e3 * l / mean.calls,
                 total > 0.0 ? 100.0 * m / total : 0.0);
  };
  return print("pair mlff: time per call over %ld calls (ms)\n", mean.calls) +
      print("  %-12s %12s %12s %8s\n", "part", "mean of ranks", "largest", "% mean") +
      row("edges", mean.edges, largest.edges) + row("network", mean.network, largest.network) +
      row("exchange", mean.exchange, largest.exchange) + row("scatter", mean.scatter, largest.scatter) +
      print("  exchanges per call: %.3g forward, %.3g reverse\n", static_cast<double>(mean.forward) / mean.calls,
            static_cast<double>(mean.reverse) / mean.calls) +
      (largest.warm_up > 0.0 ? print("  warm-up before the first step: %.3g s\n", largest.warm_up) : "");
}

std::string own_citation()
{
  return "pair_style mlff: distilled neural-network potentials\n\n"
         "@misc{pair_style_mlff,\n"
         " title = {pair\\_style mlff: distilled neural-network potentials in LAMMPS},\n"
         " author = {{pair\\_style mlff developers}},\n"
         " year = {2026}\n"
         "}\n\n";
}

std::string model_citation(const ModelFile &model, const std::string &bibtex)
{
  return "pair_style mlff, student " + model.name + "\n\n" + bibtex + "\n\n";
}

}    // namespace mlff
