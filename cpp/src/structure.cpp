#include "structure.hpp"

#include <algorithm>

namespace eigencore {

bool is_lower_triangular(const double* a, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = i + 1; j < n; ++j) {
      if (a[i * n + j] != 0) return false;
    }
  }
  return true;
}

bool is_upper_triangular(const double* a, std::size_t n) {
  for (std::size_t i = 1; i < n; ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      if (a[i * n + j] != 0) return false;
    }
  }
  return true;
}

// Tarjan's algorithm with an explicit stack: recursion would be n deep on a cycle.
std::vector<std::vector<std::size_t>> irreducible_blocks(const double* a, std::size_t n) {
  constexpr std::size_t unseen = static_cast<std::size_t>(-1);
  struct Frame {
    std::size_t node;
    std::size_t next_edge;
  };
  std::vector<std::size_t> index(n, unseen), low(n, 0), open;
  std::vector<char> is_open(n, 0);
  std::vector<Frame> path;
  std::vector<std::vector<std::size_t>> blocks;
  std::size_t counter = 0;

  const auto enter = [&](std::size_t node) {
    index[node] = low[node] = counter++;
    open.push_back(node);
    is_open[node] = 1;
    path.push_back({node, 0});
  };
  for (std::size_t root = 0; root < n; ++root) {
    if (index[root] != unseen) continue;
    enter(root);
    while (!path.empty()) {
      const std::size_t node = path.back().node;
      std::size_t edge = path.back().next_edge;
      while (edge < n && (a[node * n + edge] == 0 || (index[edge] != unseen && !is_open[edge])))
        ++edge;
      path.back().next_edge = edge + 1;
      if (edge < n) {
        if (index[edge] == unseen) {
          enter(edge);
        } else {
          low[node] = std::min(low[node], index[edge]);
        }
        continue;
      }
      path.pop_back();
      if (!path.empty()) low[path.back().node] = std::min(low[path.back().node], low[node]);
      if (low[node] != index[node]) continue;
      std::vector<std::size_t> block;
      std::size_t member = 0;
      do {
        member = open.back();
        open.pop_back();
        is_open[member] = 0;
        block.push_back(member);
      } while (member != node);
      std::sort(block.begin(), block.end());
      blocks.push_back(std::move(block));
    }
  }
  return blocks;
}

}  // namespace eigencore
