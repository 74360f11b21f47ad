// The reference student taken apart and put together again, with checksums that fit what a test changed.
#pragma once

#include "folders.h"
#include "zip_records.h"

#include <nettle/base16.h>
#include <nettle/sha2.h>
#include <nlohmann/json.hpp>

#include <cstring>
#include <functional>

const std::string GOOD = reference_file("painn-tiny-v1.pt");
const std::string HEADER = "extra/mlff.json", WEIGHTS = "extra/mlff.safetensors";

inline std::string sha256(const std::string &text)
{
  sha256_ctx context;
  sha256_init(&context);
  sha256_update(&context, text.size(), reinterpret_cast<const std::uint8_t *>(text.data()));
  std::uint8_t digest[SHA256_DIGEST_SIZE];
  sha256_digest(&context, sizeof digest, digest);
  std::string hex(2 * sizeof digest, '\0');
  base16_encode_update(hex.data(), sizeof digest, digest);
  return hex;
}

// Of all records but the header, as the header states it.
inline std::string checksum(const Records &records)
{
  std::string lines;
  for (const auto &[record, content] : records)
    if (record != HEADER) lines += sha256(content) + "  " + record + "\n";
  return sha256(lines);
}

// With this header, and in it the checksum that fits.
inline Records sealed(Records records, nlohmann::ordered_json header)
{
  header["sha256"] = checksum(records);
  records[HEADER] = header.dump();
  return records;
}

// The good file after `change`, with the checksum that fits it.
inline Records changed_records(const std::function<void(Records &)> &change)
{
  Records records = read_records(GOOD);
  change(records);
  return sealed(records, nlohmann::ordered_json::parse(records[HEADER]));
}

// A record mlff.safetensors in its parts.
struct Table {
  std::string text, data;

  explicit Table(const std::string &content)
  {
    std::uint64_t size = 0;
    std::memcpy(&size, content.data(), sizeof size);
    text = content.substr(sizeof size, size);
    data = content.substr(sizeof size + size);
  }
  std::string content() const
  {
    const std::uint64_t size = text.size();
    return std::string(reinterpret_cast<const char *>(&size), sizeof size) + text + data;
  }
};
