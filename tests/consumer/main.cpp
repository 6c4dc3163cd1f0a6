#include <penstock/device.hpp>
#include <penstock/dtype.hpp>
#include <penstock/version.hpp>

#include <cstdio>
#include <cstring>

int main() {
  std::printf("penstock %s\n", penstock::version());
  return std::strcmp(penstock::version(), penstock::kVersion) == 0 ? 0 : 1;
}
