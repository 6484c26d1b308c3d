// What a process holds: descriptors, threads, memory.
#pragma once

#include <dirent.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>

namespace weft::test {

inline size_t entries_of(const char* folder) {
  DIR* dir = opendir(folder);
  if (dir == nullptr) return 0;
  size_t count = 0;
  while (const dirent* entry = readdir(dir)) count += entry->d_name[0] != '.';
  closedir(dir);
  return count;
}

// The one for the listing itself is not counted.
inline size_t open_descriptors() { return entries_of("/proc/self/fd") - 1; }
inline size_t running_threads() { return entries_of("/proc/self/task"); }

inline size_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  size_t total = 0, resident = 0;
  statm >> total >> resident;
  return resident * static_cast<size_t>(sysconf(_SC_PAGESIZE));
}

}  // namespace weft::test
