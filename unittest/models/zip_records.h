// Zip archives as LibTorch writes them, made for tests: records under one top folder.
#pragma once

#include <zip.h>

#include <map>
#include <stdexcept>
#include <string>
#include <vector>

using Records = std::map<std::string, std::string>;    // relative to the top folder

inline Records read_records(const std::string &path)
{
  zip_t *archive = zip_open(path.c_str(), ZIP_RDONLY, nullptr);
  if (!archive) throw std::runtime_error("cannot open " + path);
  Records records;
  for (zip_int64_t i = 0; i < zip_get_num_entries(archive, 0); ++i) {
    zip_stat_t stat;
    zip_stat_index(archive, i, 0, &stat);
    std::string content(stat.size, '\0');
    zip_file_t *file = zip_fopen_index(archive, i, 0);
    zip_fread(file, content.data(), content.size());
    zip_fclose(file);
    records[std::string(stat.name).substr(std::string(stat.name).find('/') + 1)] = content;
  }
  zip_discard(archive);
  return records;
}

// `top` with its slash, or nothing
inline std::vector<char> pack(const Records &records, const std::string &top = "any-name/",
                              int compression = ZIP_CM_STORE)
{
  zip_error_t error;
  zip_error_init(&error);
  zip_source_t *buffer = zip_source_buffer_create(nullptr, 0, 0, &error);
  zip_source_keep(buffer);
  zip_t *archive = zip_open_from_source(buffer, ZIP_TRUNCATE, &error);
  for (const auto &[record, content] : records) {
    zip_source_t *source = zip_source_buffer(archive, content.data(), content.size(), 0);
    const zip_int64_t index = zip_file_add(archive, (top + record).c_str(), source, 0);
    zip_set_file_compression(archive, index, compression, 0);
  }
  if (zip_close(archive) != 0) throw std::runtime_error("cannot write an archive");
  zip_source_open(buffer);
  zip_source_seek(buffer, 0, SEEK_END);
  std::vector<char> bytes(zip_source_tell(buffer));
  zip_source_seek(buffer, 0, SEEK_SET);
  zip_source_read(buffer, bytes.data(), bytes.size());
  zip_source_close(buffer);
  zip_source_free(buffer);
  return bytes;
}
