#pragma once

#include <pybind11/pybind11.h>

void register_lapack(pybind11::module_& m);
void register_spectra(pybind11::module_& m);
void register_machine(pybind11::module_& m);
void register_rows(pybind11::module_& m);
void register_running(pybind11::module_& m);
