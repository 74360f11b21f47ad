#include "zip_archive.h"

#include "mlff_error.h"
#include "text.h"

#include <zip.h>

#include <algorithm>
#include <cctype>
#include <cstring>

namespace mlff {

namespace {

bool begins(const std::vector<char> &bytes, const char *text)
{
  const std::size_t length = std::strlen(text);
  return bytes.size() >= length && std::equal(text, text + length, bytes.begin());
}

bool is_text(const std::vector<char> &bytes)
{
  const auto end = bytes.begin() + static_cast<std::ptrdiff_t>(std::min<std::size_t>(bytes.size(), 512));
  return std::all_of(bytes.begin(), end, [](unsigned char c) { return c >= 0x20 || std::isspace(c); });
}

// What a user gave in place of a student, and what to do; for bytes in which no zip directory was found.
std::string describe_other(const std::vector<char> &bytes)
{
  const std::string copy = "Copy or download the file again.";
  if (bytes.empty()) return "found an empty file. " + copy;
  if (begins(bytes, "PK\3\4"))
    return "found an archive whose end is missing: the file is truncated at " + std::to_string(bytes.size()) +
        " bytes. " + copy;
  if (begins(bytes, "version https://git-lfs"))
    return "found a pointer of Git LFS in place of the file itself. Get it with 'git lfs pull'.";
  if (begins(bytes, "\x80\x02") || begins(bytes, "\x80\x04"))
    return "found a pickle, such as a raw checkpoint of an old PyTorch. Make a student of it with 'mlff export'.";
  if (is_text(bytes)) {
    const auto first = std::find_if(bytes.begin(), bytes.end(), [](unsigned char c) { return !std::isspace(c); });
    if (first != bytes.end() && *first == '<')
      return "found an HTML or XML page, such as an error page of a server. " + copy;
    return "found a text file. Name the student's .pt file.";
  }
  return "found a binary file of another kind. Make a student with 'mlff export'.";
}

std::string shown(const std::string &record)
{
  return one_line(record, 80);
}

// Releases a zip_error_t that libzip filled.
struct ZipError {
  zip_error_t error;
  ZipError() { zip_error_init(&error); }
  ~ZipError() { zip_error_fini(&error); }
  ZipError(const ZipError &) = delete;
  ZipError &operator=(const ZipError &) = delete;
};

}    // namespace

void ZipArchive::Close::operator()(zip *archive) const
{
  zip_discard(archive);
}

ZipArchive::ZipArchive(const std::vector<char> &bytes, const std::string &path) : path_(path)
{
  const std::string expected = path + ": expected a student written by 'mlff export' (a zip archive), ";

  if (bytes.empty()) throw Error(expected + describe_other(bytes));    // libzip takes it for an archive
  ZipError error;
  zip_source_t *source = zip_source_buffer_create(bytes.data(), bytes.size(), 0, &error.error);
  if (source) archive_.reset(zip_open_from_source(source, ZIP_RDONLY, &error.error));
  if (!archive_) {
    const int code = zip_error_code_zip(&error.error);
    const std::string reason = zip_error_strerror(&error.error);
    zip_source_free(source);
    if (code == ZIP_ER_NOZIP) throw Error(expected + describe_other(bytes));
    throw Error(expected + "found a damaged one (" + reason + "). Copy or download the file again.");
  }

  std::string top;
  std::uint64_t unclaimed = bytes.size();
  const zip_int64_t count = zip_get_num_entries(archive_.get(), 0);
  for (zip_int64_t i = 0; i < count; ++i) {
    const auto index = static_cast<zip_uint64_t>(i);
    const char *entry = zip_get_name(archive_.get(), index, ZIP_FL_ENC_RAW);
    const std::string name = entry ? entry : "";
    const std::size_t slash = name.find('/');
    if (slash == std::string::npos || (i > 0 && name.substr(0, slash) != top))
      throw Error(expected + "found an archive whose records do not share one top folder ('" + shown(name) +
                  "'). Make a student with 'mlff export'.");
    top = name.substr(0, slash);
    records_.push_back(name.substr(slash + 1));
    if (!index_.emplace(records_.back(), index).second)
      throw Error(expected + "found one with two records named '" + shown(records_.back()) +
                  "'. Export the student again.");
    zip_stat_t stat;
    if (zip_stat_index(archive_.get(), index, 0, &stat) != 0 || stat.comp_method != ZIP_CM_STORE) continue;
    if (stat.size > unclaimed)
      throw Error(expected + "found a damaged one (its records claim more than the file's " +
                  std::to_string(bytes.size()) + " bytes). Copy or download the file again.");
    unclaimed -= stat.size;
  }
  if (records_.empty()) throw Error(expected + "found an archive without records. Copy or download the file again.");
}

bool ZipArchive::contains(const std::string &record) const
{
  return index_.contains(record);
}

bool ZipArchive::contains_below(const std::string &folder) const
{
  return std::any_of(records_.begin(), records_.end(),
                     [&](const std::string &record) { return record.compare(0, folder.size(), folder) == 0; });
}

std::vector<char> ZipArchive::read(const std::string &record) const
{
  const std::string in_record = path_ + ": record '" + shown(record) + "': ";
  const auto found = index_.find(record);
  if (found == index_.end())
    throw Error(path_ + ": expected a record '" + record + "', found none. Export the student again.");
  const zip_uint64_t index = found->second;

  const auto broken = [&](const std::string &reason) {
    return Error(in_record + "the archive is damaged (" + reason + "). Copy or download the file again.");
  };
  zip_stat_t stat;
  if (zip_stat_index(archive_.get(), index, 0, &stat) != 0) throw broken(zip_strerror(archive_.get()));
  if (stat.comp_method != ZIP_CM_STORE || stat.encryption_method != ZIP_EM_NONE)
    throw Error(in_record +
                "expected it stored without compression, found it compressed or encrypted. "
                "Export the student again instead of repacking it.");
  const std::string other_length = "its length differs from the one stated";
  const std::unique_ptr<zip_file_t, int (*)(zip_file_t *)> file(zip_fopen_index(archive_.get(), index, 0), zip_fclose);
  if (!file) throw broken(zip_strerror(archive_.get()));
  std::vector<char> content(stat.size);
  std::size_t size = 0;
  // libzip compares CRC and length only when a read finds the end, hence one byte more than there should be
  for (;;) {
    char beyond;
    const bool full = size == content.size();
    const zip_int64_t got =
        zip_fread(file.get(), full ? &beyond : content.data() + size, full ? 1 : content.size() - size);
    if (got < 0) {
      if (zip_error_code_zip(zip_file_get_error(file.get())) == ZIP_ER_CRC)
        throw broken("its CRC differs from the one stated: bytes were changed");
      throw broken(zip_file_strerror(file.get()));
    }
    if (got == 0) break;
    if (full) throw broken(other_length);
    size += static_cast<std::size_t>(got);
  }
  if (size != content.size()) throw broken(other_length);
  return content;
}

}    // namespace mlff
