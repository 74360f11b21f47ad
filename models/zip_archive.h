// A zip archive in memory, as TorchScript writes it: records under one top folder whose name means nothing.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

struct zip;    // libzip

namespace mlff {

class ZipArchive {
 public:
  // Lists the records of `bytes`, which must outlive this object. Throws Error, with `path` in the message, for bytes
  // that are no zip archive, a truncated or inconsistent one, one without a single top folder, or one whose records claim
  // more bytes than there are.
  ZipArchive(const std::vector<char> &bytes, const std::string &path);

  // Paths relative to the top folder, in the archive's order.
  const std::vector<std::string> &records() const { return records_; }
  bool contains(const std::string &record) const;
  bool contains_below(const std::string &folder) const;    // "code/": any record that begins so

  // Content of a record. Throws Error if its CRC is wrong, or if it is compressed: students are stored as they are,
  // so that no record can be larger than the file.
  std::vector<char> read(const std::string &record) const;

 private:
  struct Close {
    void operator()(zip *archive) const;
  };

  std::string path_;
  std::unique_ptr<zip, Close> archive_;
  std::vector<std::string> records_;
  std::map<std::string, std::uint64_t> index_;    // of each record in the archive
};

}    // namespace mlff
