// PENSTOCK_API marks what a shared libpenstock exports; everything else is hidden.
#pragma once

#define PENSTOCK_API __attribute__((visibility("default")))
