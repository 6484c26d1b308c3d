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

// Of the process's own: pages of programs and libraries, which come as code is first used, are left out.
inline size_t resident_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("RssAnon:")) return std::stoull(line.substr(8)) * 1024;
  return 0;
}

}  // namespace weft::test
