// SPDX-License-Identifier: Apache-2.0
// Recurrences of many signals, sixteen side by side: what generation steps and scans.
#pragma once

#include "libcore/base/array.hpp"
#include "libcore/systems/lane_kernels.hpp"
#include "libcore/systems/recurrence.hpp"

#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace stillhouse::systems {

/// The coefficients of a bank laid out for blocks of sixteen signals, in the arithmetic of T. Blocks of the same
/// filters share theirs.
template <class T>
class LaneTable {
public:
    /// filter_of[signals]; of a last block that is not full, the rest is silent: zero in, zero out.
    LaneTable(const Recurrence<T>& bank, std::span<const Index> filter_of);

    Index blocks() const { return static_cast<Index>(table_of_.size()); }
    Index rows() const { return order_ + taps_ - 1; }              // of a block's state
    Index order() const { return order_; }
    Index table_of(Index block) const { return table_of_[static_cast<std::size_t>(block)]; }
    Index tables() const { return table_rows_ == 0 ? 0 : table_.size() / (table_rows_ * lane_count); }
    void scan(Index block, const T* u, Index length, T* state, T* y) const;

private:
    void fill(const Recurrence<T>& bank, std::span<const Index> filters, T* c) const;
    void fill_section(const T* from, T* slot, Index lane) const;

    Form form_;
    Index pairs_ = 0;             // slots of two states
    Index singles_ = 0;
    Index order_ = 0;             // rows of states
    Index taps_ = 1;
    Index table_rows_ = 0;
    std::vector<Index> table_of_;
    Buffer<T> table_;             // [tables, table_rows, lanes]
    std::vector<Index> late_;     // [tables, lanes]: how late modes are fed, where filters differ in it
};

/// The same in T, or in double where T would lose the response (RecurrenceBank): a state is then doubles, bit for bit,
/// in twice as many numbers of T. The state of a block is state_size numbers: rows of sixteen, the states of the bank's
/// largest filter, then its first taps' past inputs. A token costs a block about 8 vector multiply-adds a complex mode
/// (16 in the cascade, twice that in double).
template <class T>
class LaneRecurrence {
public:
    static constexpr Index longest = 32;     // tokens of one scan

    explicit LaneRecurrence(LaneTable<T> table) : own_(std::move(table)) {}
    explicit LaneRecurrence(std::unique_ptr<LaneTable<double>> table) : wide_(std::move(table)) {}

    bool in_double() const { return wide_ != nullptr || std::is_same_v<T, double>; }
    Index blocks() const { return wide_ != nullptr ? wide_->blocks() : own_->blocks(); }
    Index order() const { return wide_ != nullptr ? wide_->order() : own_->order(); }   // rows of states
    Index state_size() const;                // of a block, a multiple of 16
    /// Which coefficients a block uses: equal for blocks of equal filters.
    Index table_of(Index block) const { return wide_ != nullptr ? wide_->table_of(block) : own_->table_of(block); }

    /// y[t, l] of signal l for the next inputs u[t, l], both [length <= longest, 16]; y may be u. The same bits however
    /// tokens are cut into scans.
    void scan(Index block, const T* u, Index length, T* state, T* y) const;
    /// A number of a state: row i < order, signal l.
    double state_at(const T* state, Index i, Index l) const;
    void set_state(T* state, Index i, Index l, double value) const;

private:
    std::optional<LaneTable<T>> own_;
    std::unique_ptr<LaneTable<double>> wide_;
};

}  // namespace stillhouse::systems
