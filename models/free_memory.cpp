#include "free_memory.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <string>

namespace mlff {

namespace {

constexpr double UNLIMITED = std::numeric_limits<double>::infinity();

double available()
{
  std::ifstream file("/proc/meminfo");
  std::string name, unit;
  for (double kibibytes = 0.0; file >> name >> kibibytes; std::getline(file, unit))
    if (name == "MemAvailable:") return 1024.0 * kibibytes;
  return UNLIMITED;
}

double number_in(const std::string &path)
{
  double value = 0.0;
  std::ifstream file(path);
  return file >> value ? value : UNLIMITED;    // "max": no limit
}

// Version 2 of control groups: a limit may stand at any level above the process.
double left_in_control_group()
{
  std::ifstream file("/proc/self/cgroup");
  std::string group;
  while (std::getline(file, group) && group.rfind("0::", 0) != 0) {}
  if (group.rfind("0::", 0) != 0) return UNLIMITED;
  double left = UNLIMITED;
  for (group = group.substr(3); !group.empty(); group.resize(group.rfind('/'))) {
    const std::string folder = "/sys/fs/cgroup" + group;
    const double limit = number_in(folder + "/memory.max");
    if (limit < UNLIMITED) left = std::min(left, std::max(0.0, limit - number_in(folder + "/memory.current")));
  }
  return left;
}

}    // namespace

double free_bytes_of_node()
{
  const double bytes = std::min(available(), left_in_control_group());
  return bytes < UNLIMITED ? bytes : 0.0;
}

}    // namespace mlff
