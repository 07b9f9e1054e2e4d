{% test sums_to_session_net(model, column_name, levels, net_column) %}
{#
    The column, summed over a session's last snapshot, is the net that its levels state. Judged
    against the sum of absolute values: a net may cancel to nothing, its parts do not. A session
    without any row sums to zero (its levels were taken from a book without a contract).
#}
with levels as (

    select * from {{ levels }}

),

parts as (

    select * from {{ model }}

),

summed as (

    select
        underlying,
        session_date,
        model,
        sum({{ column_name }}) as total,
        sum(abs({{ column_name }})) as gross,
    from parts
    group by underlying, session_date, model

),

final as (

    select
        coalesce(levels.underlying, summed.underlying) as underlying,
        coalesce(levels.session_date, summed.session_date) as session_date,
        coalesce(levels.model, summed.model) as model,
        levels.{{ net_column }} as expected,
        summed.total as found,
    from (select * from levels where is_session_last) as levels
    full outer join summed
        on levels.underlying = summed.underlying
        and levels.session_date = summed.session_date
        and levels.model = summed.model
    where not coalesce(
        abs(levels.{{ net_column }} - coalesce(summed.total, 0.0))
        <= 1e-6 * greatest(coalesce(summed.gross, 0.0), 1.0),
        false
    )

)

select * from final
{% endtest %}
