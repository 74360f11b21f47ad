// Where tests find their files. Functions of one source: a folder in the compile command of a test would make it another
// command in each checkout, and a compiler cache would never find it.
#pragma once

#include <string>

std::string reference_file(const std::string &name);      // of unittest/reference
std::string shipped_student(const std::string &name);     // of potentials
std::string compiled_student(const std::string &name);    // of this build, by compile_packages.py
