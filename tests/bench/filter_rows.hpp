// SPDX-License-Identifier: Apache-2.0
// What programs that fit .npy filters take from their command line: a list of orders, and the filters of a file.
#pragma once

#include "formats/fd.hpp"
#include "formats/npy.hpp"
#include "libcore/base/dtype.hpp"
#include "libcore/base/error.hpp"

#include <charconv>
#include <string>
#include <string_view>
#include <vector>

namespace stillhouse::bench {

/// "4,8,16". Error{bad_argument}: anything else than numbers from 1, parted by commas.
inline std::vector<Index> orders_of(std::string_view list)
{
    std::vector<Index> orders;
    const char* p = list.data();
    const char* const end = p + list.size();
    while (true) {
        Index order = 0;
        const auto [stop, fault] = std::from_chars(p, end, order);
        if (fault != std::errc() || order < 1 || (stop != end && *stop != ',')) {
            throw_error(ErrorCode::bad_argument, "'" + std::string(list) + "' is no list of orders as 4,8,16");
        }
        orders.push_back(order);
        if (stop == end) {
            return orders;
        }
        p = stop + 1;
    }
}

struct FilterRows {
    std::string name;                            // of the file, without its folder
    Index length = 0;
    std::vector<std::vector<double>> rows;       // whatever axes come before the last
};

/// Of any real type. Error{bad_data}: complex, a lone number or no filter; and what read_npy says.
inline FilterRows read_filter_rows(const std::string& path)
{
    formats::Fd input = formats::Fd::open_input(path);
    const formats::Tensor filters = formats::read_npy(input, path);
    if (filters.header.shape.empty() || filters.header.elements() == 0) {
        throw_error(ErrorCode::bad_data, path + ": found " + to_string(filters.header.shape) + ", expected filters");
    }
    FilterRows found{path.substr(path.rfind('/') + 1), filters.header.shape.back(), {}};
    const auto width = static_cast<Index>(size_of(filters.header.dtype));
    for (Index at = 0; at < filters.header.elements(); at += found.length) {
        auto& row = found.rows.emplace_back(static_cast<std::size_t>(found.length));
        convert_from(filters.header.dtype, filters.data.data() + at * width, found.length, row.data());
    }
    return found;
}

}  // namespace stillhouse::bench
