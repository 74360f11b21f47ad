#include "units.h"

#include "mlff_error.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

using mlff::units_of_style;

TEST(Units, MetalIsTheFilesOwn)
{
  EXPECT_EQ(units_of_style("metal").energy, 1.0);
  EXPECT_EQ(units_of_style("metal").length, 1.0);
}

// One eV and one Å in SI base units, through each style's own definition of its units.
TEST(Units, AgreeThroughSi)
{
  const mlff::Units si = units_of_style("si"), real = units_of_style("real"), electron = units_of_style("electron");
  const double kcal_per_mole = 4184.0 / 6.02214076e23, hartree = 4.3597447222071e-18, bohr = 5.29177210903e-11;
  EXPECT_NEAR(real.energy * kcal_per_mole / si.energy, 1.0, 2e-7);    // LAMMPS's factor has eight digits
  EXPECT_NEAR(electron.energy * hartree / si.energy, 1.0, 1e-11);
  EXPECT_NEAR(electron.length * bohr / si.length, 1.0, 1e-11);
  EXPECT_DOUBLE_EQ(electron.force(), electron.energy / electron.length);
}

TEST(Units, OtherStylesAreRefusedByName)
{
  for (const char *style : {"lj", "cgs", "micro", "nano"}) try {
      units_of_style(style);
      FAIL() << "expected an error for units " << style;
    } catch (const mlff::Error &error) {
      EXPECT_THAT(error.what(), testing::HasSubstr(std::string("found units ") + style));
    }
}
